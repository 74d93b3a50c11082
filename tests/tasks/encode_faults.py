"""Ways in which encoding a shard goes wrong; a module of its own for worker processes."""

import os
import signal
from pathlib import Path

from tasks.encode import EncodeJob, encode_shard
from tasks.outcome import Outcome

VICTIM = "latents-00001.safetensors"


def marker(job: EncodeJob) -> Path:
    """Stands as soon as the fault has happened."""
    return job.shard.parent / "fault"


def be_killed_once(job: EncodeJob) -> Outcome:
    """Like a worker that the kernel kills because memory is short, before its shard is there."""
    if job.uid == VICTIM and not marker(job).exists():
        marker(job).parent.mkdir(parents=True, exist_ok=True)
        marker(job).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return encode_shard(job)


def be_killed_at_the_end(job: EncodeJob) -> Outcome:
    """Killed once its shard is there, but before the outcome is known."""
    outcome = encode_shard(job)
    if job.uid == VICTIM and not marker(job).exists():
        marker(job).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome
