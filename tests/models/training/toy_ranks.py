"""The toy diffusion stage, trained by several processes."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from models.config import Precision
from models.data.latents import LatentSet
from models.network.attention import unasked_parameters
from models.training.checkpoints import Checkpoints
from models.training.distributed import init_distributed
from models.training.sharding import local_shard, shard
from tasks.ports import Launcher
from tests.forked_ranks import ForkedRanks
from tests.models.toy_diffusion import LOOP, OPTIMIZER, make_training, run
from tests.models.toy_distillation import make_distillation

LONGER = LOOP.model_copy(update={"batch_size": 5, "samples": 30, "checkpoint_every": 2, "validate_every": 6})
SPARING = {"decayed": "matrices", "weight_decay": 0.1, "view_scale_rate": 10.0}


def work(
    latents: Path,
    folder: Path,
    fault: Callable[[], None] | None = None,
    *,
    sharded: bool = False,
    samples: int = 30,
    spares: bool = False,
    precision: Precision = "fp32",
    distils: bool = False,
) -> None:
    """What each process does: a toy stage whose samples have one or several condition views.

    With `spares` they have one, what that leaves unused is frozen, and decay and rates differ among the parameters.
    With `distils` the stage's network is distilled instead.
    """
    torch.set_num_threads(1)

    def report(samples_seen: int, metrics: Any) -> None:  # noqa: ARG001
        if fault is not None and samples_seen > 10 and not (folder / "struck").exists():
            (folder / "struck").touch()
            fault()

    with init_distributed(torch.device("cpu")) as ranks:
        plan: dict[str, Any] = {"multi_condition_share": 0.0} if spares else {}
        training = (make_distillation if distils else make_training)(LatentSet.open(latents), **plan)
        for weight in unasked_parameters(training.model) if spares else []:
            weight.requires_grad_(False)
        if sharded:
            gathered = torch.bfloat16 if precision == "bf16" else None
            shard(training.model, torch.device("cpu"), ranks, gathered=gathered)
            kept = sum(local_shard(weight).numel() for weight in training.model.parameters())
            assert kept < 0.6 * sum(weight.numel() for weight in training.model.parameters())
            training = replace(training, ranks=ranks)
        longer = LONGER.model_copy(update={"samples": samples, "precision": precision})
        optimizer = OPTIMIZER.model_copy(update=SPARING if spares else {})
        run(training, folder, longer, report=report, ranks=ranks, optimizer=optimizer)


def end_state(
    count: int, latents: Path, folder: Path, *, samples: int = 30, launcher: Launcher | None = None, **how: Any
) -> dict[str, Any]:
    """The last checkpoint that so many processes leave, which may have gone on from another one in `folder`."""
    folder.mkdir(exist_ok=True)
    job = partial(work, latents, folder, samples=samples, **how)
    (launcher or ForkedRanks(count)).run(job, folder / f"exchange_dir-{samples}", lambda: None, count)
    state = Checkpoints(folder, "toy").load_newest()
    assert state is not None
    assert state["samples_seen"] == samples
    return state
