"""Reading ahead: every batch once and in order; beside a GPU one batch early for each thread, on a CPU none."""

import threading

import pytest
import torch

from models.training.prefetch import prefetched


@pytest.mark.parametrize("device", ["cpu", "cuda"])  # the name alone decides; nothing is computed
def test_prefetched_gives_every_batch_once_and_in_order(device: str) -> None:
    loaded: list[int] = []

    def load(step: int) -> str:
        loaded.append(step)
        return f"batch {step}"

    assert list(prefetched(load, range(3, 8), torch.device(device))) == [f"batch {step}" for step in range(3, 8)]
    assert loaded == [3, 4, 5, 6, 7]


def test_prefetched_beside_a_gpu_reads_the_next_batch_while_one_is_used() -> None:
    is_read = [threading.Event() for _ in range(3)]
    batches = prefetched(lambda step: is_read[step].set(), range(3), torch.device("cuda"))
    next(batches)
    assert is_read[1].wait(timeout=60)
    assert not is_read[2].is_set()
    batches.close()  # type: ignore[attr-defined]


def test_prefetched_with_several_threads_reads_so_many_batches_at_once_and_keeps_the_order() -> None:
    both = threading.Barrier(2, timeout=60)  # broken, unless two threads meet

    def load(step: int) -> int:
        both.wait()
        return step

    assert list(prefetched(load, range(4), torch.device("cuda"), num_threads=2)) == [0, 1, 2, 3]
    assert list(prefetched(abs, range(1), torch.device("cuda"), num_threads=3)) == [0]


def test_prefetched_on_a_cpu_reads_in_the_thread_that_asks() -> None:
    threads = prefetched(lambda _: threading.current_thread(), range(2), torch.device("cpu"))
    assert set(threads) == {threading.current_thread()}


def test_prefetched_raises_what_loading_raised() -> None:
    def load(step: int) -> int:
        raise ValueError(f"shard of step {step} is broken")

    with pytest.raises(ValueError, match="shard of step 4 is broken"):
        next(prefetched(load, range(4, 6), torch.device("cuda")))
