"""The whole demo through S3, whose server is killed again and again: `python -m tests.e2e.through_s3` (make demo-s3).

A project is made on a Ray cluster whose node sees nothing of the driver's folder, with a server of S3 on this machine
as the store and as DVC's remote. The server is killed by SIGKILL while stages, `flows push` and `dvc pull` are at work,
and started again on the same disk. Then a clone pulls everything and has nothing to run.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.params_edit import set_params
from infra.execution.processes import ProcessGroup
from tests.e2e.tiny_project import TRAININGS, environment, make_project
from tests.infra.hidden_node import hidden_node, may_hide
from tests.infra.ray_cluster import ray_cluster
from tests.infra.s3_on_disk import S3Process
from tests.project_copy import copy_project, write_profile

BUCKET = "mvdpp"
PROFILE = "through_s3.yaml"
KILLED_IN = ("render", "encode", "sample")
"""Stages during which the server is killed once the first result of one of their items is in the store."""
SOURCES = ("data/source", "data/gso_source", "data/peers")
"""Folders that the graph names and no stage makes."""
AWAY_SECONDS = 5.0
ATTEMPTS = 3
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
RAN = "Running stage '"


@dataclass
class Kills:
    """Kills a server once somebody has been told that something is on its disk, and starts it again."""

    server: S3Process
    done: list[str] = field(default_factory=list)
    """During what it was killed."""
    _waiting: list[threading.Thread] = field(default_factory=list)

    def arm(self, during: str, request: str) -> None:
        """Kill it when the next request that begins so has been acknowledged."""
        seen = len(self.server.acknowledged())
        thread = threading.Thread(target=self._kill, args=(during, request, seen), daemon=True)
        self._waiting.append(thread)
        thread.start()

    def _kill(self, during: str, request: str, seen: int) -> None:
        while not any(line.startswith(request) for line in self.server.acknowledged()[seen:]):
            time.sleep(0.02)
        self.server.kill()
        time.sleep(AWAY_SECONDS)
        self.server.start()
        self.done.append(during)

    def settle(self) -> None:
        """Wait until the server is up again. Raises AssertionError for a kill whose request never came."""
        for thread in self._waiting:
            thread.join(timeout=60)
            assert not thread.is_alive(), f"the server was killed during {self.done} only"
        self._waiting.clear()


def make_through_s3(first: Path, folder: Path, base: str = "laptop") -> list[str]:
    """Make the project `first` through S3, push it, pull it into `folder/second`; return during what S3 was killed.

    `base` is the profile that says how this machine computes, to which the cluster and the store are added.

    Raises AssertionError, with the last lines of the command, for whatever does not end as it should.
    """
    with (
        credentials(),
        S3Process(folder / "server") as server,
        ray_cluster(head_cpus=0) as cluster,
        ExitStack() as nodes,
    ):
        server.client().create_bucket(Bucket=BUCKET)
        as_seen_there: Path | None = None
        if may_hide():
            as_seen_there = nodes.enter_context(hidden_node(cluster.address, first, num_cpus=2))
        else:
            say("this process may not hide folders from others: the node sees the driver's, and makes no use of it")
            cluster.add_node(**cluster.node | {"num_cpus": 2})
        write_profile(
            first / PROFILE,
            base=base,
            ray_address=cluster.address,
            workers=2,
            trainers=1,
            store_url=f"s3://{BUCKET}/cluster",
            s3_endpoint=server.url,
            node_folder=str(folder / "node"),
            retries=8,
        )
        kills = Kills(server)
        _make(first, kills)
        assert not as_seen_there or not list(as_seen_there.iterdir()), "the node has written into the driver's folder"
        _push(first, server.url, kills)
        _pull(first, folder / "second", kills)
        _check_bucket(server)
        return kills.done


def _make(first: Path, kills: Kills) -> None:
    begin, said = time.monotonic(), []
    with ProcessGroup(
        [sys.executable, "-m", "dvc", "repro"], root=first, env=environment(PROFILE), output=subprocess.PIPE
    ) as process:
        for line in process.lines():
            said.append(line)
            if line.startswith(RAN):
                stage = line.removeprefix(RAN).partition("'")[0]
                say(f"{time.monotonic() - begin:6.0f} s  {stage}")
                if stage in KILLED_IN:
                    kills.arm(stage, f"PUT /{BUCKET}/cluster/results/")
        assert process.wait() == 0, "\n".join(said[-40:])
    say(f"{time.monotonic() - begin:6.0f} s  made")
    kills.settle()


def _push(first: Path, address: str, kills: Kills) -> None:
    dvc(first, "remote", "add", "--default", "store", f"s3://{BUCKET}/dvc")
    dvc(first, "remote", "modify", "store", "endpointurl", address)
    git(first, "add", "--all")
    git(first, "add", "--force", *SOURCES, "dvc.lock")
    git(first, "commit", "-qm", "made")
    kills.arm("push", f"PUT /{BUCKET}/dvc/")
    _again_and_again(first, "flows push", kills)


def _pull(first: Path, second: Path, kills: Kills) -> None:
    git(first, "clone", "-q", str(first), str(second))
    for name in SOURCES:  # git keeps no empty folder
        (second / name).mkdir(exist_ok=True, parents=True)
    kills.arm("pull", f"GET /{BUCKET}/dvc/")
    _again_and_again(second, "dvc pull", kills)
    said = dvc(second, "repro")
    ran = [line for line in said.splitlines() if line.startswith(RAN)]
    assert not ran, f"dvc repro in the clone runs {ran}"
    differing = differences(first, second)
    assert not differing, f"the clone has other files: {differing}"
    say("the clone has every file, and dvc repro runs nothing there")


def _again_and_again(root: Path, command: str, kills: Kills) -> None:
    """Repeat a command until it ends well, as a user does."""
    for _ in range(ATTEMPTS):
        begin = time.monotonic()
        done = _run(root, command.split())
        kills.settle()
        say(f"{time.monotonic() - begin:6.0f} s  {command}: {done.stdout[-200:].strip()}")
        if done.returncode == 0:
            return
    raise AssertionError(f"{command} fails {ATTEMPTS} times:\n{done.stdout[-3000:]}")


def _check_bucket(server: S3Process) -> None:
    """Nothing is left in the store of what has arrived, nor of uploads that a kill broke off."""
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="cluster/results/")
    left = [item["Key"] for page in pages for item in page.get("Contents", [])]
    assert not left, f"{len(left)} results are left in the store, such as {left[0]}"
    assert not server.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def shorten(root: Path, samples: int) -> None:
    """Let each training of a project end after so many samples."""
    set_params(root / "params.yaml", {f"{stage}.loop.samples": samples for stage in TRAININGS})


def differences(one: Path, other: Path) -> list[str]:
    """Return the files of results by which two projects differ, each as `path (stage)`."""
    found = []
    for stage, out in outs(one).items():
        if outs(other).get(stage) == out:
            continue
        paths = {file.relative_to(root) for root in (one, other) for file in (root / out["path"]).rglob("*")}
        found += [f"{path} ({stage})" for path in sorted(paths) if not is_same(one / path, other / path)]
    return found


def outs(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return the only result of each stage, as dvc.lock has it."""
    stages: dict[str, Any] = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    return {name: stage["outs"][0] for name, stage in stages.items()}


def is_same(one: Path, other: Path) -> bool:
    """Whether both are folders, or files of the same content."""
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir()
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def dvc(root: Path, *words: str) -> str:
    """Run a command of DVC; return what it says. Raises AssertionError when it fails."""
    done = _run(root, ["dvc", *words])
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def _run(root: Path, module: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *module], cwd=root, env=environment("laptop"), check=False, timeout=3600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def git(root: Path, *words: str) -> None:
    """Run git in a checkout as somebody."""
    somebody = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *somebody, *words], cwd=root, check=True, capture_output=True, timeout=600)


@contextmanager
def credentials() -> Iterator[None]:
    """Let this process and those that it starts have keys for S3, which the server does not look at."""
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)  # noqa: T201 of a command


def main(words: Sequence[str] | None = None) -> None:
    """Do it; raises SystemExit(1) where files differ from those of a run without S3."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.through_s3", description=__doc__)
    parser.add_argument("--folder", type=Path, help="an empty folder, which stays (default: a temporary one)")
    parser.add_argument("--like", type=Path, help="checkout in which `make demo` was run without S3, to compare with")
    parser.add_argument("--tiny", action="store_true", help="the end-to-end tests' project of three objects")
    parser.add_argument(
        "--samples", type=int, help="shorten each training, which knows nothing of S3, to so many samples"
    )
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        first = (make_project if arguments.tiny else copy_project)(folder / "first")
        if arguments.samples:
            shorten(first, arguments.samples)
        during = make_through_s3(first, folder, base="ci" if arguments.tiny else "laptop")
        say(f"S3 was killed and started again during {', '.join(during)}")
        if arguments.like:
            differing = differences(first, arguments.like)
            say("\n".join([f"{len(differing)} files differ from those of {arguments.like}", *differing]))
            if differing:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
