"""Which networks learn azimuth from the picture: `python -m tests.bench.azimuth`.

One object, condition views at all eight azimuths, a small network from scratch (tests.models.azimuth_proof). A hit: of
eight turns the right one fits the 32 drawn views best; eight drawings, one from each azimuth, so chance is 1 of 8.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from tests.models.azimuth_proof import MOST_CONDITIONS, Solid, Variant
from tests.models.ball_models import OPTIMIZER

COLUMNS = (
    "given to targets",
    "view scale starts at",
    "ends at",
    "seed",
    "steps x batch",
    "PSNR from 1 / 3, dB",
    "hits of 8 from 1 / 3",
    "CPU s",
)


def main(words: Sequence[str] | None = None) -> None:
    """Print a table with a row for each variant and seed."""
    arguments = _parser().parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        solid = Solid.make(arguments.folder or Path(scratch))
        sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n")
        choices = product(arguments.inputs, arguments.view_scales, arguments.seeds)
        for number, (generation_input, view_scale, seed) in enumerate(choices):
            variant = Variant(
                generation_input=generation_input,
                view_scale=view_scale,
                seed=seed,
                steps=arguments.steps,
                batch_size=arguments.batch,
                optimizer=OPTIMIZER.model_copy(
                    update={"schedule": arguments.schedule, "learning_rate": arguments.learning_rate}
                ),
            )
            sys.stdout.write(row(solid, variant, Path(scratch) / str(number), arguments.drawn_steps))
            sys.stdout.flush()


def row(solid: Solid, variant: Variant, folder: Path, drawn_steps: int) -> str:
    """Train and score one variant."""
    start = time.process_time()
    unet, history = solid.train(variant, folder)
    scores = [solid.score(unet, count, drawn_steps) for count in (1, MOST_CONDITIONS)]
    cells = [
        variant.generation_input,
        f"{variant.view_scale:g}",
        f"{history[-1]['train/view_scale']:.2f}",
        f"{variant.seed}",
        f"{variant.steps} x {variant.batch_size}",
        " / ".join(f"{score.psnr:.2f}" for score in scores),
        " / ".join(f"{score.hits}" for score in scores),
        f"{time.process_time() - start:.0f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.azimuth", description=__doc__)
    parser.add_argument("--inputs", nargs="+", choices=("white", "reference"), default=["white", "reference"])
    parser.add_argument("--view-scales", nargs="+", type=float, default=[0.0, 1.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=4, help="samples of a step")
    parser.add_argument("--schedule", choices=("constant", "cosine"), default=OPTIMIZER.schedule)
    parser.add_argument("--learning-rate", type=float, default=OPTIMIZER.learning_rate)
    parser.add_argument("--drawn-steps", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="keeps the VAE, which is used again; default: trained anew")
    return parser


if __name__ == "__main__":
    main()
