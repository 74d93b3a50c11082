"""The folders that a promotion reads, sealed like the real stages seal them, around a made-up score."""

from pathlib import Path

from flows.params import load_params
from tasks.artifacts.atomic import write_json
from tasks.artifacts.manifest import METRICS, Kind, read_manifest, seal
from tests.project_copy import ROOT

PARAMS = load_params(ROOT / "params.yaml")


def make_model(folder: Path, text: str) -> Path:
    """A trained stage3 whose weights say `text`."""
    for name in ("unet", "unet_raw"):
        (folder / name).mkdir(parents=True)
        (folder / name / "weights.safetensors").write_text(text)
    (folder / "model_index.json").write_text("{}")
    seal(folder, Kind.DIFFUSION_MODEL, config=PARAMS.train_stage3, inputs={"text": text})
    return folder


def make_test_set(root: Path, text: str) -> Path:
    """The test set of the checkout `root`, whose pixels hash to `text`."""
    folder = root / "data/test_views"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "test_set.json", {"sha256": "", "objects": {"duck": {"sha256": text, "views": []}}})
    seal(folder, Kind.VIEWS, config=PARAMS.render_test, inputs={"text": text})
    return folder


def make_report(report: Path, model: Path, test_set: Path, psnr: float) -> Path:
    """A report that gives the model this score from one view."""
    report.mkdir(parents=True)
    scores = {"objects": 4, "meshes": 4, "psnr": psnr, "psnr_se": 0.2, "chamfer": 0.1}
    write_json(report / METRICS, {"stage3-sparse-1": {"held_out": scores}})
    inputs = {"train-stage3": read_manifest(model).fingerprint, "render-test": read_manifest(test_set).fingerprint}
    seal(report, Kind.REPORT, config=PARAMS.evaluate, inputs=inputs)
    return report
