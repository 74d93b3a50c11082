"""Waiting requests, of which those that can be computed together leave together."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


@dataclass
class _Waiting(Generic[ItemT]):
    item: ItemT
    key: Hashable
    since: float


@dataclass
class BatchQueue(Generic[ItemT]):
    """A queue in one event loop whose items leave in batches of equal key, the oldest item's first.

    Args:
        max_batch: Items of a batch, at most.
        wait: Seconds that an item waits for others of its key, at most, while a taker is free.
    """

    max_batch: int
    wait: float
    _waiting: list[_Waiting[ItemT]] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, key: Hashable, item: ItemT, *, first: bool = False) -> None:
        """Add an item; it leaves together with others of an equal key. `first`: before all others."""
        now = asyncio.get_running_loop().time()
        self._waiting.insert(0 if first else len(self._waiting), _Waiting(item, key, now))
        async with self._changed:
            self._changed.notify_all()

    async def take(self) -> list[ItemT]:
        """Wait for a batch and remove it: the oldest item and those of its key, as many as are there in time."""
        async with self._changed:
            while True:
                await self._changed.wait_for(lambda: bool(self._waiting))
                oldest = self._waiting[0]
                left = oldest.since + self.wait - asyncio.get_running_loop().time()
                together = [one for one in self._waiting if one.key == oldest.key][: self.max_batch]
                if len(together) == self.max_batch or left <= 0:
                    self._waiting = [one for one in self._waiting if one not in together]
                    return [one.item for one in together]
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue

    def remove(self, item: ItemT) -> bool:
        """Take an item out; returns whether it was still waiting."""
        kept = [one for one in self._waiting if one.item is not item]
        is_removed = len(kept) < len(self._waiting)
        self._waiting = kept
        return is_removed

    def position(self, item: ItemT) -> int | None:
        """Return how many items came before one, 0 for the next; None where it does not wait."""
        return next((index for index, one in enumerate(self._waiting) if one.item is item), None)
