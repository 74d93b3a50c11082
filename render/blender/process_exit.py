"""Lets a process that has used Blender end."""

import atexit
import ctypes


def skip_destructors_at_exit() -> None:
    """Let the process end once Python has cleaned up, without the destructors of C and C++ libraries.

    One of Blender's waits forever for a thread of its own where anything still refers to the module bpy by then, such
    as the traceback of an error. What is registered here, with Blender's libraries loaded, runs before those. Where
    the C library has no on_exit, which passes the exit status on, nothing is changed.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "on_exit"):
        return
    atexit.register(libc.fflush, None)
    libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
