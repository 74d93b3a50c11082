"""Counts what this process may use of its machine: processors, memory, GPUs. Asks the kernel; imports nothing heavy.

Limits of control groups are read here, because psutil does not know them and loky's cpu_count reads the topmost group
alone, rounds a quota up and knows nothing of memory. GPUs are counted by the CUDA driver, because NVML (nvidia-ml-py)
ignores CUDA_VISIBLE_DEVICES.
"""

import ctypes
import getpass
import os
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of cuda.h."""


def available_cpus() -> int:
    """Return how many processors this process may use: those of its affinity, or fewer by the container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(allowed, cpu_quota(own_cgroups()))))


def available_memory_gb() -> float:
    """Return the memory this process may use, in GB (2**30 bytes): the machine's, or less by the container's limit."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(float(installed), memory_limit(own_cgroups())) / 2**30


def own_cgroups(listing: Path = Path("/proc/self/cgroup"), top: Path = CGROUPS) -> list[Path]:
    """Return the folders of the control groups that bind this process, with their parents.

    Version 1 keeps a tree for each controller, version 2 a single one.
    """
    folders = [top, top / "cpu", top / "memory"]
    for line in listing.read_text().splitlines() if listing.exists() else []:
        _, controllers, path = line.split(":", 2)
        parents = Path(path.strip("/")), *Path(path.strip("/")).parents
        folders += [top / controller / parent for controller in controllers.split(",") for parent in parents]
    return folders


def cpu_quota(cgroups: list[Path]) -> float:
    """Return the smallest processor quota of these control groups, in processors; infinite where none is set."""
    quotas = [float("inf")]
    for folder in cgroups:
        match _words(folder / "cpu.max"):
            case [quota, period] if quota != "max":
                quotas.append(int(quota) / int(period))
        match _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us"):
            case [quota], [period] if int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas)


def memory_limit(cgroups: list[Path]) -> float:
    """Return the smallest memory limit of these control groups, in bytes; infinite where none is set."""
    found = [_words(folder / name) for folder in cgroups for name in ("memory.max", "memory.limit_in_bytes")]
    return min([float("inf"), *(int(words[0]) for words in found if words and words[0] != "max")])


def num_cuda_gpus() -> int:
    """Return how many GPUs are visible (CUDA_VISIBLE_DEVICES counts); 0 where the installed torch is built for CPUs.

    Asks the driver, because importing torch to ask it takes seconds.
    """
    driver = cuda_driver()
    count = ctypes.c_int(0)
    return count.value if driver is not None and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def cuda_capability() -> tuple[int, int] | None:
    """Return the lowest compute capability of the visible GPUs, such as (9, 0) of an H100; None where there is none."""
    driver = cuda_driver()
    return None if driver is None else min(map(partial(_capability, driver), range(num_cuda_gpus())), default=None)


def cuda_driver() -> Any | None:
    """Return the CUDA driver, started; None where it is absent or broken, or where torch is built for CPUs."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        built_for_cpu = metadata.version("torch").endswith("+cpu")
    except (OSError, metadata.PackageNotFoundError):
        return None
    return None if built_for_cpu or driver.cuInit(0) != 0 else driver


def torch_device() -> str:
    """Return the fastest device that torch has here: "cuda" or "cpu"."""
    return "cuda" if num_cuda_gpus() else "cpu"


def user_name() -> str:
    """Return the name of the user; "unknown" where the machine has none for the number, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _capability(driver: Any, ordinal: int) -> tuple[int, int]:
    """Return the compute capability of a GPU; (0, 0) where the driver does not say."""
    device, major, minor = (ctypes.c_int(0) for _ in range(3))
    errors = (
        driver.cuDeviceGet(ctypes.byref(device), ordinal),
        driver.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device),
    )
    return (0, 0) if any(errors) else (major.value, minor.value)


def _words(path: Path) -> list[str]:
    """Return the words of a small kernel file; none where it does not exist."""
    try:
        return path.read_text().split()
    except OSError:
        return []
