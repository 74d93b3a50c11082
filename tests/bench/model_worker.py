"""Times one method in a process of its own: `python -m tests.bench.model_worker JOB` prints its numbers as JSON."""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.config import Span, UNetConfig
from models.network.initialization import seeded_weights
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.training.compiled import compile_in_place
from models.training.cost import saved_by_module
from models.training.throughput import count_tflop, memory_gib
from tests.bench.model_cost import toy_batch
from tests.bench.model_methods import LEVELS, METHODS

GEOMETRY = {"azimuths": 8, "elevations_deg": (-30.0, 0.0, 30.0, 60.0), "fov_deg": 60.0, "distance": 1.5}
DIVISOR = {"toy": 10, "quarter": 4, "full": 1}
"""Of the paper's widths."""


def main() -> None:
    """Read the job from the command line."""
    job = json.loads(sys.argv[1])
    spans = LEVELS.get(job["method"])
    unet = network(job["width"], job["side"], spans or True).to(job["device"])
    if spans is None:
        unet.base.set_attn_processor(METHODS[job["method"]]())
    inputs = {name: value.to(job["device"]) for name, value in toy_batch(unet, job["views"]).items()}
    if job["compile"]:
        compile_in_place(unet)
    print(json.dumps(measure(unet, inputs, job["device"], job["steps"])))  # noqa: T201 the answer


def network(width: str, side: int, spans: bool | tuple[Span, ...] = True) -> MultiViewUNet:
    """The paper's network, its widths divided; heads keep 64 channels where they can; `spans` of its self-attention."""
    widths = tuple(channels // DIVISOR[width] for channels in (320, 640, 1280, 1280))
    config = UNetConfig(
        pretrained=None,
        block_out_channels=widths,
        attention_levels=(True, True, True, False),
        layers_per_block=2,
        attention_head_dim=tuple(max(1, channels // 64) for channels in widths),
        cross_attention_dim=1024 // DIVISOR[width],
        norm_num_groups=32 if width == "full" else 16,
        condition_flag=1,
        max_condition_views=10,
        view_embedding=True,
        global_attention=spans,
    )
    with seeded_weights(0):
        return build_unet(config, num_targets=32, latent_channels=4, latent_size=side, geometry=GEOMETRY)


def measure(unet: MultiViewUNet, inputs: dict[str, Tensor], device: str, steps: int) -> dict[str, float]:
    """Seconds, memory and rates of a forward pass and of a training step."""

    def forward() -> None:
        with torch.no_grad(), autocast(device):
            unet(**inputs)

    def train() -> None:
        with autocast(device):
            loss = unet(**inputs).float().square().mean()
        loss.backward()
        unet.zero_grad(set_to_none=True)

    with torch.no_grad():
        tflop = count_tflop(partial(unet.forward, **inputs), torch.device(device))
    with autocast(device):
        saved = saved_by_module(partial(unet.forward, **inputs), [*unet.parameters(), *inputs.values()])
    forward_s, _ = timed(forward, device, steps)
    training_s, training_cpu_s = timed(train, device, steps)
    tokens = inputs["noisy_BVCHW"].shape[1] * unet.base.config.sample_size**2
    rate = 3 * tflop / training_s
    return {
        "forward_s": forward_s,
        "training_s": training_s,
        "training_cpu_s": training_cpu_s,
        "peak_gib": memory_gib(torch.device(device)),
        "kept_gib": saved.total() / 2**30,
        "tokens_s": tokens / training_s,
        "tflop_s": rate,
        "share": rate / matmul_tflop_s(device),
    }


def autocast(device: str) -> Any:
    """bfloat16 on a GPU; plain float32 on a processor."""
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")


def timed(work: Callable[[], None], device: str, steps: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, of one call: the least of `steps` after one that is not counted."""
    best, best_cpu = float("inf"), float("inf")
    for step in range(steps + 1):
        synchronize(device)
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        synchronize(device)
        if step:
            best = min(best, time.perf_counter() - start)
            best_cpu = min(best_cpu, time.process_time() - start_cpu)
    return best, best_cpu


def synchronize(device: str) -> None:
    """Wait for the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()


def matmul_tflop_s(device: str) -> float:
    """What a large matrix product reaches here, in the precision of the measurement."""
    side, kind = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
    first, second = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    product = torch.empty_like(first)

    def multiply() -> None:
        torch.mm(first, second, out=product)

    seconds, _ = timed(multiply, device, 5)
    return float(2 * side**3 / seconds / 1e12)


if __name__ == "__main__":
    main()
