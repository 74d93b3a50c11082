"""Lets Python make many objects that stay without searching them for cycles."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_cycle_search() -> Iterator[None]:
    """Keep Python's garbage collector from looking for cycles.

    Among millions of new dictionaries, which have none, it costs more than reading them; of the seconds in which torch
    and diffusers are imported it takes a quarter (infra/LOG.md).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
