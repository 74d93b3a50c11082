"""What Ray says of the nodes of a cluster: which of them will be taken away."""

import time
from functools import lru_cache

from ray._private import state


def draining_nodes() -> frozenset[str]:
    """Return Ray's names of the nodes that will be taken away: a pre-emption of which the cloud has given notice, a
    scale-down, `ray drain-node`. They take no new workers; what runs there may go on until they are gone.

    The cluster is asked at most once in each second: an answer takes nearly half as long as handing a worker an item.

    Ray has no public function for it: `ray.train.get_preemption_info` is for ranks of Ray Train alone. Its own
    libraries Data and Train ask as this does.
    """
    return _told_in(int(time.monotonic()))


@lru_cache(maxsize=1)
def _told_in(_second: int) -> frozenset[str]:
    return frozenset(state.state.get_draining_nodes())
