"""Pushes to DVC's remote and asks it afterwards whether it has everything that it says it has."""

from pathlib import Path

from infra.dvc_remote import DvcRemote, RemoteCheck, push_command
from infra.execution.processes import ProcessGroup, signals_raise


def push(root: Path, remote: str | None) -> str | None:
    """Push what dvc.lock names, ask the remote for each file of each list of a folder, and send what is missing.

    Args:
        root: The checkout.
        remote: Name of the remote; None: the default one.

    Returns what was found and done, in a sentence; None when `dvc push` failed, which has said why.
    Raises ValueError when there is no such remote or files are neither there nor here, ConnectionError when it does not
    answer.
    """
    asked = DvcRemote(root, remote)
    with signals_raise(), ProcessGroup(push_command(remote), root=root) as group:
        if group.wait():
            return None
    found = asked.check()
    if not found.missing:
        return f"{asked.address} has {_all_of(found)}"
    if lost := asked.mend(found.missing):
        name, files = next(iter(lost.items()))
        raise ValueError(
            f"{asked.address} lacks files that {len(lost)} of its {found.num_lists} lists of folders name, and the "
            f"cache of this checkout has them neither, such as {min(files)} of {name}; give the same command in a "
            "checkout that has them, or remove the list there if nobody needs that version"
        )
    left = asked.check()
    if left.missing:
        raise ConnectionError(f"{asked.address} still lacks {left.num_missing} files; give the same command again")
    return (
        f"{asked.address} lacked {found.num_missing} file{'s' if found.num_missing > 1 else ''} that "
        f"{len(found.missing)} of its lists of folders name, as after a push that was broken off; now it has "
        f"{_all_of(left)}"
    )


def _all_of(check: RemoteCheck) -> str:
    return f"all {check.num_files:,} files that its {check.num_lists} lists of folders name"
