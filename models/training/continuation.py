"""Where a training begins: with its own newest checkpoint, or with that of the training that it continues."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.config import LoopConfig, OptimizerConfig
from models.training.checkpoints import Checkpoints

Origins = list[dict[str, Any]]
"""The trainings that one continues, the first one first: `key`, and `samples_seen` where its successor began."""
Shapes = Mapping[str, Sequence[int]]


def load_start(
    own: Checkpoints,
    origin: Checkpoints | None,
    *,
    loop: LoopConfig,
    optimizer: OptimizerConfig,
    shapes: Shapes,
    is_mapped: bool,
) -> dict[str, Any] | None:
    """Load the state with which a training begins.

    Args:
        own: Its own checkpoints, which are preferred.
        origin: Those of the training that it continues; None: it begins at zero.
        loop: Batch size and length, which a continued training may change.
        optimizer: Its settings, which a continued training may change.
        shapes: Shape of every weight, by name.
        is_mapped: See `Checkpoints.load_newest`.

    Returns:
        What was saved, with `origins`; None to begin at zero.

    Raises:
        ValueError: There is no checkpoint to continue, or it does not fit this training.
    """
    state = own.load_newest(is_mapped=is_mapped)
    if state is not None or origin is None:
        return state
    key = origin.fingerprint
    state = origin.load_newest(is_mapped=is_mapped)
    if state is None:
        raise ValueError(
            f"continue_from is {key}, but {origin.folder} {_lack(origin.folder)}; {_remedy(origin.folder.parent)}"
        )
    _require_clock(key, state["samples_seen"], loop)
    _require_optimizer(key, state, optimizer)
    _require_shapes(key, {name: list(value.shape) for name, value in state["weights"].items()}, shapes)
    origins: Origins = [*state.get("origins", []), {"key": key, "samples_seen": state["samples_seen"]}]
    return state | {"origins": origins}


def _lack(folder: Path) -> str:
    return "has no intact checkpoint" if folder.exists() else "does not exist"


def _remedy(work: Path) -> str:
    known = sorted({path.parent.name for path in work.glob("*/samples-*.pt")})
    return f"write {' or '.join(known)}, which has checkpoints, or null" if known else "write null to begin at zero"


def _require_clock(key: str, samples_seen: int, loop: LoopConfig) -> None:
    if samples_seen % loop.batch_size:
        raise ValueError(
            f"the training {key} was left at {samples_seen:,} samples, which is no multiple of loop.batch_size "
            f"{loop.batch_size:,}; set loop.batch_size to a divisor of it, or continue_from to null"
        )
    if samples_seen >= loop.samples:
        raise ValueError(
            f"the training {key} was left at {samples_seen:,} samples, but loop.samples is {loop.samples:,}: there is "
            "nothing left to train; raise loop.samples, or set continue_from to null"
        )


def _require_optimizer(key: str, state: Mapping[str, Any], optimizer: OptimizerConfig) -> None:
    bits = state.get("state_bits", optimizer.state_bits)
    if bits != optimizer.state_bits:
        raise ValueError(
            f"the training {key} has optimizer.state_bits {bits}, here it is {optimizer.state_bits}; "
            "make them equal, or set continue_from to null"
        )


def _require_shapes(key: str, found: Shapes, expected: Shapes) -> None:
    for name in sorted(found.keys() | expected.keys()):
        theirs, ours = (list(shapes[name]) if name in shapes else None for shapes in (found, expected))
        if theirs != ours:
            raise ValueError(
                f"the training {key} has another network: {name} is {theirs or 'absent'} there and {ours or 'absent'} "
                "here; give both sections the same network, or set continue_from to null"
            )
