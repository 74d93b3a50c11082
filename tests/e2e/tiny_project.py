"""The real project in a folder of its own, with params.yaml at the smallest size that does everything."""

import os
import subprocess
import sys
from pathlib import Path

from flows.params_edit import set_params
from tasks.sources.procedural.objects import write_object
from tests.project_copy import copy_project, write_profile

SERIAL = "serial.yaml"
"""The profile of continuous integration, but everything in the stage's own process."""
CANARY = "canary-4f1d2b"
"""A text that stands in every secret which the pipeline is given, and must stand nowhere in what it leaves."""
SECRETS = {
    "HF_TOKEN": f"hf_{CANARY}",
    "AWS_ACCESS_KEY_ID": f"AKIA{CANARY}",
    "AWS_SECRET_ACCESS_KEY": f"secret/{CANARY}",
    "AWS_EC2_METADATA_DISABLED": "true",
    "MLFLOW_TRACKING_PASSWORD": CANARY,
}
FAMILIES = {"mug": 0, "car": 2, "robot": 11}
TRAININGS = ("train_vae", "train_stage1", "train_stage2", "train_stage3")
LOOP = {"batch_size": 2, "samples": 8, "log_every": 1, "validate_every": 2, "checkpoint_every": 1}
TINY = {
    "catalog.source": "folder",
    "select.val_share": 0.3,
    "normalize.max_failed_share": 0.5,
    "render.resolution": 32,
    "render.quality": {"samples": 1, "noise_threshold": 0, "denoise": "none", "max_bounces": 1},
    "render.conditions": 3,
    "train_vae.vae.block_out_channels": [8, 16],
    "encode.image_encoder.hidden_size": 16,
    "encode.image_encoder.num_hidden_layers": 1,
    "encode.image_encoder.num_attention_heads": 2,
    "train_stage1.unet.block_out_channels": [16, 32],
    "train_stage1.unet.attention_head_dim": [1, 2],
    "train_stage1.unet.norm_num_groups": 8,
    "train_stage1.unet.attention_levels": [False, True],
    "train_stage1.drawn_steps": 1,
    "train_stage2.drawn_steps": 1,
    "train_stage3.drawn_steps": 1,
    "train_stage3.multi_conditions": [2, 3],
    "render_test.train_objects": 1,
    "render_test.held_out_objects": 1,
    "render_test.conditions": 2,
    "render_test.ring_views": 4,
    "baselines.methods": ["hull-gt-pose"],
    "baselines.conditions": [1],
    "evaluate.consistency_resolution": 16,
    "sample.conditions": [1, 2],
    "sample.steps": 2,
    "reconstruct.quality": {"resolution": 16, "iterations": 3, "batch": 64},
    "reconstruct.vote": 0.9,
    "evaluate.points": 500,
    "evaluate.iou_resolution": 16,
} | {f"{stage}.loop.{key}": value for stage in TRAININGS for key, value in LOOP.items()}


def make_project(folder: Path) -> Path:
    """Code, graph and tiny parameters; three objects and one broken file as the source."""
    source = copy_project(folder) / "data" / "source"
    for family, index in FAMILIES.items():
        write_object(family, 0, index, source / f"{family}.glb")
    (source / "broken.glb").write_bytes(b"glTF" + (2).to_bytes(4, "little") + (40).to_bytes(4, "little") + b"x" * 28)
    set_params(folder / "params.yaml", TINY)
    write_profile(folder / SERIAL, pool="serial")
    return folder


def environment(profile: str = SERIAL) -> dict[str, str]:
    """This interpreter first on the path: dvc.yaml says `python`.

    No worker processes unless the profile starts them: seven stages would each start Ray and import torch twice more.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | SECRETS | {"PATH": path, "MVDPP_PROFILE": profile}


def repro(folder: Path, *targets: str) -> str:
    """`dvc repro`; what it printed. Raises CalledProcessError when it fails."""
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    done = subprocess.run(
        command, cwd=folder, env=environment(), check=False, text=True, timeout=3600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"dvc repro failed:\n{done.stdout[-3000:]}")
    return done.stdout
