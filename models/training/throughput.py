"""Throughput, data stalls and memory of a training: wall-clock metrics, which are reported but not in the history."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

ItemT = TypeVar("ItemT")
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "4090": 165.0, "L40": 181.0}
"""Peak TFLOP/s of dense bfloat16 matrix products, from the data sheets, by a part of the card's name."""


class ThroughputMeter:
    """Measures samples per second, and the share of the time spent waiting for data, from report to report."""

    def __init__(self, samples_seen: int, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start counting at `samples_seen`; `clock` gives seconds."""
        self.device = device
        self._clock = clock
        self.tflop_per_sample: float | None = None
        """10^12 operations of one sample, forward and backward; None where they were not counted."""
        self._restart(samples_seen)

    def timed(self, batches: Iterable[ItemT]) -> Iterator[ItemT]:
        """Yield the batches; the time until each arrives counts as waiting."""
        iterator = iter(batches)
        while True:
            start = self._clock()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += self._clock() - start
            yield batch

    def since_last(self, samples_seen: int) -> dict[str, float]:
        """Metrics since the last call.

        Returns:
            train/samples_per_second, train/data_wait_share (0 to 1) and train/memory_gib; with counted operations also
            train/tflop_per_second, and train/mfu (model FLOPs utilization, 0 to 1) on a card whose peak is known.
        """
        seconds = max(self._clock() - self._start, 1e-9)
        rate = (samples_seen - self._samples_seen) / seconds
        metrics = {
            "train/samples_per_second": rate,
            "train/data_wait_share": min(self._waited / seconds, 1.0),
            "train/memory_gib": memory_gib(self.device),
        }
        if self.tflop_per_sample is not None:
            metrics["train/tflop_per_second"] = rate * self.tflop_per_sample
            peak = peak_tflop(self.device)
            metrics |= {} if peak is None else {"train/mfu": rate * self.tflop_per_sample / peak}
        self._restart(samples_seen)
        return metrics

    def _restart(self, samples_seen: int) -> None:
        self._start, self._samples_seen, self._waited = self._clock(), samples_seen, 0.0


def count_tflop(work: Callable[[], object], device: torch.device) -> float:
    """Count the 10^12 floating-point operations of `work`: matrix products, convolutions and attention.

    The counter does not know the fused attention kernel of CPUs, so there the plain one computes.
    """
    kernel = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    # a network that is to be compiled would not be any more once it has run under the counter
    with torch.compiler.set_stance("force_eager"), kernel, FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops() / 1e12)


def memory_gib(device: torch.device) -> float:
    """Peak memory so far in GiB: of the GPU's allocator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def peak_tflop(device: torch.device) -> float | None:
    """Peak TFLOP/s of a GPU in dense bfloat16; None for a CPU or an unknown card."""
    if device.type != "cuda":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(card: str) -> float | None:
    """Peak TFLOP/s of a card by its full name, such as "NVIDIA H100 80GB HBM3"; None for an unknown card."""
    return next((peak for name, peak in PEAKS.items() if name in card), None)
