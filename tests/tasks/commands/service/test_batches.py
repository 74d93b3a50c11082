"""The queue whose items leave in batches of equal key."""

import asyncio
import time

from tasks.commands.service.batches import BatchQueue


def test_batch_takes_the_oldest_with_those_of_its_key_in_order() -> None:
    async def run() -> list[list[str]]:
        queue = BatchQueue[str](max_batch=3, wait=0.0)
        for number, key in enumerate("abaaba"):
            await queue.put(key, f"{key}{number}")
        return [await queue.take() for _ in range(3)]

    assert asyncio.run(run()) == [["a0", "a2", "a3"], ["b1", "b4"], ["a5"]]


def test_batch_waits_for_others_no_longer_than_it_may_and_not_when_it_is_full() -> None:
    async def run() -> tuple[list[str], float, list[str], float]:
        queue = BatchQueue[str](max_batch=2, wait=0.3)
        await queue.put("a", "a0")
        began = time.monotonic()
        alone = await queue.take()
        waited = time.monotonic() - began
        queue.wait = 60.0
        await queue.put("a", "a1")
        taking = asyncio.create_task(queue.take())
        await asyncio.sleep(0.05)
        await queue.put("b", "b0")
        await queue.put("a", "a2")
        began = time.monotonic()
        return alone, waited, await taking, time.monotonic() - began

    alone, waited, full, waited_for_full = asyncio.run(run())
    assert (alone, full) == (["a0"], ["a1", "a2"])
    assert waited >= 0.29
    assert waited_for_full < 30


def test_batch_items_can_be_taken_out_put_first_and_counted() -> None:
    async def run() -> None:
        queue = BatchQueue[str](max_batch=9, wait=0.0)
        one, two, three = "one", "two", "three"
        await queue.put(1, one)
        await queue.put(2, two)
        await queue.put(3, three, first=True)
        assert [queue.position(item) for item in (three, one, two)] == [0, 1, 2]
        assert queue.remove(one)
        assert not queue.remove(one)
        assert queue.position(one) is None
        assert len(queue) == 2
        assert await queue.take() == [three]

    asyncio.run(run())
