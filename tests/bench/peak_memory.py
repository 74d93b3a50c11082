"""The largest memory that a process has had since it began to run its program."""

from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Return the peak of this process's resident memory in MiB (Linux).

    It is not `ru_maxrss`, which a program that was started from a large process has from that process.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
