"""Ways in which rendering an object goes wrong, each the first time only; a module of its own for worker processes."""

import ctypes
import os
import signal
from pathlib import Path

from tasks.outcome import Outcome
from tasks.render import RenderJob, render_object

VICTIM = "mug"


def marker(job: RenderJob) -> Path:
    """Stands as soon as the fault has happened."""
    return job.item.parent.parent / "fault"


def is_first(job: RenderJob) -> bool:
    if job.uid != VICTIM or marker(job).exists():
        return False
    marker(job).parent.mkdir(parents=True, exist_ok=True)
    marker(job).touch()
    return True


def hang(job: RenderJob) -> Outcome:
    """Like native code that never comes back: holds the interpreter's lock."""
    if is_first(job):
        ctypes.PyDLL(None).sleep(600)
    return render_object(job)


def abort(job: RenderJob) -> Outcome:
    """Like Blender on a file that breaks it."""
    if is_first(job):
        os.abort()
    return render_object(job)


def be_killed(job: RenderJob) -> Outcome:
    """Like a worker that the kernel kills because memory is short; what it has rendered so far is lost."""
    outcome = render_object(job)
    if is_first(job):
        job.item.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome


def always_abort(job: RenderJob) -> Outcome:
    """A poisoned object."""
    if job.uid == VICTIM:
        print("about to die of", job.uid, flush=True)  # noqa: T201 must reach the ledger
        os.abort()
    return render_object(job)
