"""What Ray says of the nodes of a cluster: which of them will be taken away."""

from ray._private import state


def draining_nodes() -> frozenset[str]:
    """Return Ray's names of the nodes that will be taken away: a pre-emption of which the cloud has given notice, a
    scale-down, `ray drain-node`. They take no new workers; what runs there may go on until they are gone.

    Ray has no public function for it: `ray.train.get_preemption_info` is for ranks of Ray Train alone. Its own
    libraries Data and Train ask as this does.
    """
    return frozenset(state.state.get_draining_nodes())
