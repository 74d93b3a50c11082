"""The graph of dvc.yaml, what is stale in it and why, and the hashes of what goes in and out.

All use of DVC is here and in the files infra/dvc_*.py. DVC is pinned (pyproject.toml):
`_get_stage_hash`, `_get_cache_hash` and two methods of the run-cache are private to it, and each use has a test in
tests/infra/test_versioning.py.
"""

import contextlib
import copy
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import networkx
from dvc.dependency import ParamsDependency
from dvc.dependency.base import DependencyDoesNotExistError
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage.cache import _can_hash, _get_cache_hash, _get_stage_hash
from dvc.utils.serialize import load_yaml
from dvc_data.hashfile.tree import Tree

from infra import dvc_folders
from infra.dvc_locks import forget_ended_runs
from infra.dvc_orphans import await_others, end_orphans, end_with_dvc

dvc_folders.install()

LOCK = "dvc.lock"
DVC_YAML_REMEDY = (
    "run from the project's root, or restore the file with `git checkout dvc.yaml` or `python -m flows graph --write`"
)


@dataclass(frozen=True)
class StageInfo:
    """One node of dvc.yaml."""

    name: str
    cmd: str
    desc: str
    upstream: tuple[str, ...]
    """Names of the stages that make its dependencies."""
    params: tuple[str, ...]
    """Sections of params.yaml it depends on."""
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    policy: Mapping[str, Any] = field(default_factory=dict)
    """meta.prefect: retries, retry_delay_seconds, timeout_seconds."""


@dataclass(frozen=True)
class Change:
    """One reason why a stage is stale."""

    kind: Literal["never run", "always", "command", "parameter", "dependency", "output"]
    name: str = ""
    """Path of a file or folder, or full key of a parameter."""
    what: Literal["modified", "deleted", "new", "not in cache"] = "modified"
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Commit:
    """Where the code stands."""

    revision: str
    """Full hash; "none" outside git or before the first commit."""
    is_dirty: bool
    """Whether tracked files differ from it; dvc.lock is not asked, for DVC rewrites it after every stage."""

    @property
    def is_known(self) -> bool:
        """Whether there is a commit."""
        return self.revision != "none"


class Repository:
    """One checkout as DVC sees it at the moment it is opened; open it again after a stage has run."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        try:
            self._repo = Repo(str(self.root))
            self._graph = self._repo.index.graph
        except (DvcException, UnicodeDecodeError) as error:
            raise ValueError(_why_unreadable(self.root, error)) from error
        self._nodes = {stage.name: stage for stage in self._repo.index.stages if stage.cmd}
        if not self._nodes:
            raise ValueError(f"{self.root / 'dvc.yaml'} has no stage; {DVC_YAML_REMEDY}")

    def forget_ended_runs(self) -> None:
        """Free what a killed `dvc repro` still holds.

        Raises ValueError when DVC's notes of them cannot be read and a process that may hold them still runs.
        """
        if self._tmp_dir is not None:
            forget_ended_runs(self.root, self._tmp_dir)

    def await_others(self) -> None:
        """Return when no other DVC command works in the checkout, and nothing runs or is held that a killed one left.

        Raises ValueError as `forget_ended_runs` does.
        """
        if self._tmp_dir is not None:
            await_others(self.root, self._tmp_dir)
        self.forget_ended_runs()

    def end_with_dvc(self, name: str) -> str:
        """Let this process, which DVC has started to run the stage, end when that DVC command does.

        Waits first for what a killed one has left of the stage. Returns a name of the DVC command that no other has, on
        any machine; "" where DVC keeps no notes. Raises RuntimeError when DVC has ended already.
        """
        if self._tmp_dir is None:
            return ""
        command = end_with_dvc(self._tmp_dir, [out.fs_path for out in self._node(name).outs])
        end_orphans(self.root, self._tmp_dir, name)
        return f"dvc {command.pid} of {socket.gethostname()} since {command.create_time():.2f}"

    @property
    def _tmp_dir(self) -> Path | None:
        return Path(self._repo.tmp_dir) if self._repo.tmp_dir is not None else None

    def places(self) -> list[str]:
        """Where DVC stores files by their MD5: folder of its cache, and address or folder of its default remote."""
        name = self._repo.config["core"].get("remote")
        remote = self._repo.config["remote"].get(name, {}) if name else {}
        has_others = remote.get("version_aware") or remote.get("worktree")  # which keep files by their names
        cache = [str(self._repo.cache.local.path)]
        return cache if not remote or has_others else [*cache, f"{remote['url'].rstrip('/')}/files/md5"]

    def stages(self, targets: Iterable[str] = ()) -> list[StageInfo]:
        """All stages, or `targets` and what they need, in an order in which they can run: dvc.yaml's where it can.

        Raises ValueError for a target that is not a stage.
        """
        wanted = {self._node(name) for name in targets} or set(self._graph.nodes)
        wanted = wanted.union(*(networkx.descendants(self._graph, node) for node in wanted))
        place = {node: index for index, node in enumerate(self._repo.index.stages)}
        order = networkx.lexicographical_topological_sort(self._graph.reverse(), key=place.__getitem__)
        return [self._info(node) for node in order if node in wanted and node.cmd]

    def stage(self, name: str) -> StageInfo:
        """The stage of that name."""
        return self._info(self._node(name))

    def changes(self, name: str) -> list[Change]:
        """Why `dvc repro` would run or restore the stage now; empty when it is up to date.

        Knows nothing of upstream stages that are stale themselves. Takes no lock, so it answers during a run.
        """
        node = self._node(name)
        locked = lock_entry(self.root, name)
        if not locked:
            return [Change("never run")]
        found = [Change("always")] if node.always_changed or node.is_callback else []
        if node.changed_stage():
            found.append(Change("command", old=locked.get("cmd"), new=node.cmd))
        for dep in () if node.frozen else node.deps:
            found.extend(_param_changes(dep, locked) if _is_params(dep) else _file_changes("dependency", dep))
        for out in node.outs:
            found.extend(_file_changes("output", out))
        return found

    def is_restorable(self, name: str) -> bool:
        """Whether DVC holds the result of exactly the present inputs, so that `dvc repro` would not run the command."""
        node = self._fresh(name)
        changes = self.changes(name)
        if all(change.what in ("deleted", "not in cache") for change in changes):
            return bool(node.outs_cached())
        try:
            node.save_deps()
        except DependencyDoesNotExistError:
            return False
        cache = self._repo.stage_cache
        entry = cache._load(node) if _key(node) else None
        if not entry:
            return False
        with contextlib.chdir(self.root):  # DVC looks for dvc.yaml beside the process
            return bool(cache._create_stage(entry, wdir=node.wdir).outs_cached())

    def run_key(self, name: str) -> str | None:
        """The stage's key in DVC's run-cache, from the present inputs; None when DVC would not cache the run."""
        node = self._fresh(name)
        node.save_deps(allow_missing=True)
        return _key(node)

    def dep_hashes(self, name: str, *, with_files: bool = False) -> dict[str, str]:
        """Path to DVC hash of every dependency that exists now.

        With `with_files` also of every file that lies directly in a folder among them, such as a shard.
        """
        node = self._fresh(name)
        node.save_deps(allow_missing=True)
        hashes: dict[str, str] = {}
        for dep in node.deps:
            if _is_params(dep) or not dep.hash_info.value:
                continue
            hashes[dep.def_path] = dep.hash_info.value
            if with_files and isinstance(dep.obj, Tree):
                direct = ((parts[0], info.value) for parts, _, info in dep.obj if len(parts) == 1)
                hashes |= {f"{dep.def_path}/{file}": value for file, value in direct}
        return hashes

    def _node(self, name: str) -> Any:
        if name not in self._nodes:
            raise ValueError(f"{name!r} is not a stage of dvc.yaml; the stages are {', '.join(sorted(self._nodes))}")
        return self._nodes[name]

    def _fresh(self, name: str) -> Any:
        """A second object for the stage, which may be changed: `save_deps` overwrites the hashes from dvc.lock."""
        self._node(name)
        return self._repo.stage.load_one(path=str(self.root / "dvc.yaml"), name=name)

    def _info(self, node: Any) -> StageInfo:
        return StageInfo(
            name=node.name,
            cmd=node.cmd,
            desc=node.desc or "",
            upstream=tuple(sorted(above.name for above in self._graph.successors(node) if above.cmd)),
            params=tuple(sorted(key for dep in node.deps if _is_params(dep) for key in dep.params)),
            deps=tuple(dep.def_path for dep in node.deps if not _is_params(dep)),
            outs=tuple(out.def_path for out in node.outs),
            policy=(node.meta or {}).get("prefect", {}),
        )


def _why_unreadable(root: Path, error: Exception) -> str:
    """Say which file cannot be read and what to do. A kill, a full disk or a power cut leaves one torn or empty."""
    text = str(error)
    if LOCK in text:  # DVC writes it in place
        return (
            f"{root / LOCK} is broken ({error}); restore it with `git checkout {LOCK}`, or remove it: the next run "
            "then takes what it needs from DVC's run-cache"
        )
    if "params.yaml" in text:
        return (
            f"{root / 'params.yaml'} cannot be read ({error}); mend it, or restore it with `git checkout params.yaml`"
        )
    if "config file error" in text:
        return f"{root / '.dvc' / 'config'} cannot be read ({error}); restore it with `git checkout .dvc/config`"
    if isinstance(error, UnicodeDecodeError):
        return f"a .dvcignore or .gitignore in {root} is not UTF-8 ({error}); restore it with `git checkout`"
    return f"{root} has no readable dvc.yaml ({error}); {DVC_YAML_REMEDY}"


def places_of(root: Path) -> list[str]:
    """Return where the checkout's DVC stores files by their MD5; nothing where `root` is no checkout of DVC."""
    return Repository(root).places() if (root / ".dvc").is_dir() and (root / "dvc.yaml").exists() else []


def lock_entry(root: Path, name: str) -> dict[str, Any]:
    """What dvc.lock says of the stage; empty when it never ran."""
    path = root / LOCK
    content = (load_yaml(str(path)) if path.exists() else None) or {}
    return dict(content.get("stages", {}).get(name, {}))


def lock_key(root: Path, name: str) -> str | None:
    """The run key of the stage's last committed run; None when it never ran."""
    entry = lock_entry(root, name)
    return str(_get_cache_hash(copy.deepcopy(entry), key=True)) if entry else None


def out_hashes(root: Path, name: str) -> dict[str, str]:
    """Path to DVC hash of every output of the stage's last committed run."""
    return {out["path"]: out["md5"] for out in lock_entry(root, name).get("outs", []) if "md5" in out}


def repro_command(target: str | None, *, single: bool = False, force: bool = False) -> list[str]:
    """The command line that brings `target` (None: everything) up to date, waiting for other DVC commands to end.

    `single` leaves out what the stage needs; `force` runs also what is up to date.
    """
    options = [*(["--single-item"] if single else []), *(["--force"] if force else []), *([target] if target else [])]
    return [*dvc_folders.COMMAND, "--wait-for-lock", "repro", *options]


def commit(root: Path) -> Commit:
    """The git commit of the checkout."""
    head = _git(root, "rev-parse", "--verify", "HEAD")
    if head is None:
        return Commit("none", is_dirty=True)
    return Commit(head, is_dirty=bool(_git(root, "status", "--porcelain", "-uno", "--", ".", f":!{LOCK}")))


def _git(root: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _key(node: Any) -> str | None:
    if not all(dep.exists for dep in node.deps):
        return None
    return str(_get_stage_hash(node)) if _can_hash(node) else None


def _is_params(dep: Any) -> bool:
    return isinstance(dep, ParamsDependency)


def _file_changes(kind: Literal["dependency", "output"], entry: Any) -> Iterator[Change]:
    for what in entry.status().values():
        yield Change(kind, entry.def_path, what if entry.exists else "deleted")


def _param_changes(dep: Any, locked: Mapping[str, Any]) -> Iterator[Change]:
    old = leaves(locked.get("params", {}).get(dep.def_path, {}))
    new = leaves({key: value for key, value in dep.read_params().items() if key in dep.params})
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            yield Change("parameter", key, "new", new=new[key])
        elif key not in new:
            yield Change("parameter", key, "deleted", old=old[key])
        elif old[key] != new[key]:
            yield Change("parameter", key, "modified", old=old[key], new=new[key])


def leaves(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one flat table: {"render": {"light": {"sun": 1}}} becomes {"render.light.sun": 1}."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
