"""Jobs whose files travel through a store: what arrives, what comes back, and what becomes of those that cannot."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.execution.node_work import do_parcel
from infra.execution.parcels import NodePlace, Parcel
from infra.execution.transport import MAX_OFFLINE, Transport
from infra.execution.worker_log import WorkError
from infra.storage.blob_store import BlobStore
from tasks.outcome import Done, Failed, Outcome, Rejected
from tests.infra.s3 import S3Server

ABSENT = "http://127.0.0.1:9"
PROJECT = Path("project")
OUTSIDE = Path("outside")


@dataclass(frozen=True)
class Copying:
    """Copies texts in capitals; the uid says what else becomes of it."""

    uid: str
    sources: tuple[Path, ...]
    """A file and a folder."""
    target: Path

    @property
    def reads(self) -> Sequence[Path]:
        return self.sources

    @property
    def writes(self) -> Sequence[Path]:
        return (self.target.with_suffix(".note"), self.target)


def copy_in_capitals(job: Copying) -> Outcome:
    one, folder = job.sources
    texts = [path.read_text() for path in (one, *sorted(folder.rglob("*.txt")))]
    if job.uid == "reject":
        return Rejected(job.uid, f"{one} says {texts[0]!r}")
    if job.uid == "raise":
        raise ValueError(f"{one} is of no use")
    job.target.parent.mkdir(parents=True, exist_ok=True)
    job.target.write_text(" ".join(texts).upper())
    return Done(job.uid, {"read": [str(one)], "here": str(Path.cwd())})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a text; a folder of texts lies outside of it."""
    project = tmp_path / PROJECT
    (project / "data").mkdir(parents=True)
    (project / "data" / "one.txt").write_text("one")
    (tmp_path / OUTSIDE / "deep").mkdir(parents=True)
    (tmp_path / OUTSIDE / "deep" / "two.txt").write_text("two")
    monkeypatch.chdir(project)
    return project


def job(project: Path, uid: str) -> Copying:
    """Reads by a relative and by an absolute path, and writes by an absolute one."""
    return Copying(uid, (Path("data/one.txt"), project.parent / OUTSIDE), project / "made" / f"{uid}.out")


def transport(folder: Path, **store: Any) -> Transport[Outcome]:
    settings = {"url": str(folder / "store"), "s3_endpoint_url": None, "attempts": 1} | store
    return Transport(NodePlace(BlobStore(**settings), str(folder / "node"), 10**9), failed=Failed)


@pytest.fixture
def node(project: Path) -> Iterator[ProcessPoolExecutor]:  # noqa: ARG001 - made after the current directory is another
    """A process that does parcels."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        pool.submit(os.getpid).result()  # starts it, before there are threads
        yield pool


def run(sender: Transport[Outcome], node: ProcessPoolExecutor, jobs: Sequence[Copying]) -> dict[str, Outcome]:
    """As a pool does whose workers do not fail."""

    def answers(parcels: Iterator[Parcel]) -> Iterator[Any]:
        for parcel in parcels:
            answer = node.submit(do_parcel, parcel).result()
            yield Failed(parcel.uid, answer.error) if isinstance(answer, WorkError) else answer
            yield None

    outcomes = list(sender.run(copy_in_capitals, jobs, answers))
    assert len({outcome.uid for outcome in outcomes}) == len(outcomes) == len(jobs)
    return {outcome.uid: outcome for outcome in outcomes}


def test_job_finds_its_files_by_their_paths_and_what_it_writes_arrives(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "three.txt").write_text("three")
    (tmp_path / OUTSIDE / "link.txt").symlink_to(tmp_path / "elsewhere" / "three.txt")
    outcome = run(transport(tmp_path), node, [job(project, "a")])["a"]
    assert (project / "made" / "a.out").read_text() == "ONE TWO THREE"
    assert [path.name for path in (project / "made").iterdir()] == ["a.out"]
    assert outcome == Done("a", {"read": ["data/one.txt"], "here": str(project)})


def test_work_does_not_touch_the_senders_folder(project: Path, node: ProcessPoolExecutor, tmp_path: Path) -> None:
    sender = transport(tmp_path)
    [parcel] = list(sent_parcels(sender, [job(project, "a")]))
    node.submit(do_parcel, parcel).result()
    assert not (project / "made").exists()


def sent_parcels(sender: Transport[Outcome], jobs: Sequence[Copying]) -> list[Parcel]:
    parcels: list[Parcel] = []

    def keep(some: Iterator[Parcel]) -> Iterator[Any]:
        parcels.extend(some)
        yield None

    list(sender.run(copy_in_capitals, jobs, keep))
    return parcels


def test_nothing_of_a_job_is_left_on_the_node_but_copies_of_what_it_read(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    run(transport(tmp_path), node, [job(project, "a")])
    files = [path for path in (tmp_path / "node").rglob("*") if path.is_file() and path.parent.name != "locks"]
    assert sorted(path.read_text() for path in files if "copies" in path.parts) == ["one", "two"]
    assert {path.name for path in files if "copies" not in path.parts} == {"lock"}


def test_what_jobs_wrote_is_removed_from_the_store_once_it_has_arrived(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    run(transport(tmp_path), node, [job(project, uid) for uid in "abc"])
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert sorted(path.read_text() for path in files) == ["one", "two"]


def test_reasons_and_errors_name_files_as_on_one_machine(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    outcomes = run(transport(tmp_path), node, [absolute(job(project, uid), project) for uid in ("reject", "raise")])
    assert outcomes["reject"] == Rejected("reject", f"{project}/data/one.txt says 'one'")
    failed = outcomes["raise"]
    assert isinstance(failed, Failed)
    assert failed.error.startswith(f"ValueError: {project}/data/one.txt is of no use (")


def absolute(one: Copying, project: Path) -> Copying:
    return Copying(one.uid, (project / one.sources[0], one.sources[1]), one.target)


def test_file_that_has_changed_since_the_job_before_is_sent_again(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    sender = transport(tmp_path)
    run(sender, node, [job(project, "a")])
    (project / "data" / "one.txt").write_text("another")
    run(sender, node, [job(project, "b")])
    assert (project / "made" / "b.out").read_text() == "ANOTHER TWO"


def test_jobs_are_sent_ahead_of_the_workers_but_not_all_at_once(project: Path, tmp_path: Path) -> None:
    jobs, taken = [job(project, f"n{number}") for number in range(200)], []

    def watched() -> Iterator[Copying]:
        for one in jobs:
            taken.append(one.uid)
            yield one

    class Lazy(list[Copying]):
        def __iter__(self) -> Iterator[Copying]:
            return watched()

    def one_answer(parcels: Iterator[Parcel]) -> Iterator[Any]:
        next(parcels)
        yield None

    list(transport(tmp_path).run(copy_in_capitals, Lazy(), one_answer))
    assert 8 < len(taken) < 40


def test_file_that_is_not_there_fails_the_job_alone(project: Path, node: ProcessPoolExecutor, tmp_path: Path) -> None:
    lost = Copying("lost", (project / "data" / "none.txt", project.parent / OUTSIDE), project / "made" / "lost.out")
    outcomes = run(transport(tmp_path), node, [lost, job(project, "a")])
    assert isinstance(outcomes["lost"], Failed)
    assert isinstance(outcomes["a"], Done)


def test_store_that_is_not_there_is_said_before_any_work(project: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "store").touch()
    with pytest.raises(OSError, match=r"store"):
        transport(tmp_path).check()


@pytest.mark.usefixtures("s3_credentials")
def test_server_that_is_not_there_is_said_before_any_work_with_the_remedy(tmp_path: Path) -> None:
    sentence = r"^s3://gone/x: .*refused \(tried 1 times\); start it, or mend store_url or s3_endpoint in the profile$"
    with pytest.raises(ConnectionError, match=sentence):
        transport(tmp_path, url="s3://gone/x", s3_endpoint_url=ABSENT).check()


@pytest.mark.usefixtures("s3_credentials")
def test_store_that_is_away_fails_the_job_and_names_itself(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    sender = transport(tmp_path, url="s3://gone/x", s3_endpoint_url=ABSENT)
    outcome = run(sender, node, [job(project, "a")])["a"]
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("its files do not travel: s3://gone/x: ")
    assert outcome.error.endswith("(tried 1 times)")


@pytest.mark.usefixtures("s3_credentials")
def test_store_that_stays_away_ends_the_stage(project: Path, node: ProcessPoolExecutor, tmp_path: Path) -> None:
    sender = transport(tmp_path, url="s3://gone/x", s3_endpoint_url=ABSENT)
    with pytest.raises(ConnectionError, match=f"s3://gone/x: .* no answer for {MAX_OFFLINE} objects in a row: run the"):
        run(sender, node, [job(project, f"n{number}") for number in range(100)])


@pytest.mark.slow(seconds=8)
@pytest.mark.usefixtures("s3_credentials")
def test_store_that_is_killed_and_comes_back_loses_nothing(
    project: Path, node: ProcessPoolExecutor, tmp_path: Path
) -> None:
    with S3Server() as first:
        first.client().create_bucket(Bucket="travel")
        sender = transport(tmp_path, url="s3://travel/x", s3_endpoint_url=first.url, attempts=8)
        parcels = sent_parcels(sender, [job(project, uid) for uid in "abc"])
    second = threading.Timer(2, lambda: servers.enter_context(S3Server(urlsplit(first.url).port or 0)))

    def work(_: Iterator[Parcel]) -> Iterator[Any]:
        for parcel in parcels:
            yield node.submit(do_parcel, parcel).result()

    with ExitStack() as servers:
        second.start()
        outcomes = list(sender.run(copy_in_capitals, [], work))
        second.join()
    assert sorted(outcome.uid for outcome in outcomes if isinstance(outcome, Done)) == ["a", "b", "c"]
    assert all((project / "made" / f"{uid}.out").read_text() == "ONE TWO" for uid in "abc")
