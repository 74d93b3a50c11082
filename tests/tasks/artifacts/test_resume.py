import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tasks.artifacts.atomic import write_json
from tasks.artifacts.resume import MAX_FIRST_FAILURES, ItemStore, Journal, run_resumable
from tasks.artifacts.shard_index import read_index, shard_name
from tasks.artifacts.shards import lay_out, seal_shards, write_item
from tasks.outcome import Done, Failed, Outcome, Rejected
from tests.tasks.toolbox import make_tools

LAYOUT = lay_out("ab", 1)


@dataclass(frozen=True)
class Job:
    uid: str
    key: str
    item: Path
    log: Path

    @property
    def reads(self) -> Sequence[Path]:
        return ()

    @property
    def writes(self) -> Sequence[Path]:
        return (self.item,)


def work(job: Job) -> Outcome:
    with job.log.open("a") as log:
        log.write(job.uid + "\n")
    if job.uid == "bad":
        return Rejected("bad", "not good")
    if job.uid.startswith("broken"):
        raise OSError("no luck")
    write_item(job.item, {"t00.png": job.key.encode()})
    return Done(job.uid, {"key": job.key})


def fill_disk(job: Job) -> Outcome:
    if job.uid == "b":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return work(job)


def jobs(store: ItemStore, tmp_path: Path, keys: Mapping[str, str]) -> list[Job]:
    return [Job(uid, key, store.path(key), tmp_path / "log") for uid, key in keys.items()]


def worked_on(tmp_path: Path) -> list[str]:
    path = tmp_path / "log"
    seen = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return seen


def run(tmp_path: Path, keys: Mapping[str, str]) -> tuple[ItemStore, list[Outcome]]:
    store = ItemStore(tmp_path / "work")
    outcomes = run_resumable("render", work, jobs(store, tmp_path, keys), make_tools(tmp_path), store.folder, store)
    return store, outcomes


def test_run_resumable_second_run_does_nothing_but_retry_failures(tmp_path: Path) -> None:
    keys = {"a": "a1", "bad": "b1", "broken": "c1"}
    _, first = run(tmp_path, keys)
    assert sorted(worked_on(tmp_path)) == ["a", "bad", "broken"]
    _, second = run(tmp_path, keys)
    assert worked_on(tmp_path) == ["broken"]
    assert [outcome.status for outcome in first] == ["done", "rejected", "failed"]
    assert first == second


def test_run_resumable_ends_when_the_first_objects_fail_one_and_all(tmp_path: Path) -> None:
    keys = {f"broken{index:02d}": f"k{index}" for index in range(50)}
    with pytest.raises(RuntimeError, match=r"each of the first 20 objects failed.*Last: broken19: OSError: no luck"):
        run(tmp_path, keys)
    assert len(worked_on(tmp_path)) == MAX_FIRST_FAILURES


def test_run_resumable_failures_of_an_earlier_run_do_not_end_the_next(tmp_path: Path) -> None:
    keys = {f"broken{index:02d}": f"k{index}" for index in range(30)}
    run(tmp_path, {"a": "a1"} | keys)
    _, outcomes = run(tmp_path, {"a": "a1"} | keys | {"b": "b1"})
    assert [outcome.status for outcome in outcomes].count("failed") == 30
    assert [outcome.uid for outcome in outcomes if outcome.status == "done"] == ["a", "b"]


def test_run_resumable_many_failures_after_a_success_are_counted_not_fatal(tmp_path: Path) -> None:
    keys = {"a": "a1"} | {f"broken{index:02d}": f"k{index}" for index in range(50)}
    _, outcomes = run(tmp_path, keys)
    assert [outcome.status for outcome in outcomes].count("failed") == 50


def test_run_resumable_item_file_lost_makes_it_again(tmp_path: Path) -> None:
    store, _ = run(tmp_path, {"a": "a1"})
    worked_on(tmp_path)
    store.path("a1").unlink()
    run(tmp_path, {"a": "a1"})
    assert worked_on(tmp_path) == ["a"]


def test_run_resumable_after_sealing_only_new_and_changed_objects_are_made(tmp_path: Path) -> None:
    store, _ = run(tmp_path, {"a": "a1", "b": "b1"})
    seal_shards({uid: partial(store.members, uid, f"{uid}1") for uid in "ab"}, LAYOUT, tmp_path / "out")
    store.keep(tmp_path / "out", {"a": "a1", "b": "b1"}, LAYOUT)
    assert not list((store.folder / "items").glob("*"))
    for path in (tmp_path / "out").iterdir():
        path.unlink()
    worked_on(tmp_path)
    store, _ = run(tmp_path, {"a": "a1", "b": "b2", "c": "c1"})
    assert sorted(worked_on(tmp_path)) == ["b", "c"]
    assert store.members("a", "a1") == {"t00.png": b"a1"}
    assert store.members("b", "b2") == {"t00.png": b"b2"}


def test_run_resumable_full_disk_stops_keeps_what_is_done_and_blames_no_object(tmp_path: Path) -> None:
    keys = {"a": "a1", "b": "b1", "c": "c1"}
    store = ItemStore(tmp_path / "work")
    todo = jobs(store, tmp_path, keys)
    with pytest.raises(
        RuntimeError, match=r"render: the disk is full .*; free space there .* 1 of 3 objects are decided"
    ):
        run_resumable("render", fill_disk, todo, make_tools(tmp_path), store.folder, store)
    assert worked_on(tmp_path) == ["a"]
    _, outcomes = run(tmp_path, keys)
    assert worked_on(tmp_path) == ["b", "c"]
    assert [outcome.status for outcome in outcomes] == ["done", "done", "done"]


def kill_at(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, call: int) -> None:
    """Let the `call`-th call of a function end the process."""
    real, calls = getattr(module, function), []

    def killed(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, function, killed)


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize(("first", "second"), [(1, 3), (3, 1)])
def test_item_store_killed_while_it_keeps_another_layout_loses_no_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, second: int, call: int
) -> None:
    keys = {uid: f"{uid}1" for uid in "abcde"}
    store, _ = run(tmp_path, keys)

    def keep(size: int, out: Path) -> None:
        layout = store.lay_out(keys, size)
        seal_shards({uid: partial(store.members, uid, key) for uid, key in keys.items()}, layout, out)
        store.keep(out, keys, layout)

    keep(first, tmp_path / "out")
    kill_at(monkeypatch, os, "link", call)
    with pytest.raises(KeyboardInterrupt):
        keep(second, tmp_path / "out2")
    monkeypatch.undo()
    later = ItemStore(tmp_path / "work")
    for uid, key in keys.items():
        assert later.members(uid, key) == {"t00.png": key.encode()}


@pytest.mark.parametrize(
    ("module", "function", "call"),
    [(os, "link", 1), (os, "link", 3), (os, "replace", 1), (shutil, "rmtree", 1)],
)
def test_item_store_killed_while_it_keeps_loses_no_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, call: int
) -> None:
    keys = {"a": "a1", "b": "b1"}
    store, _ = run(tmp_path, keys)
    seal_shards({uid: partial(store.members, uid, f"{uid}1") for uid in "ab"}, LAYOUT, tmp_path / "out")
    store.keep(tmp_path / "out", keys, LAYOUT)
    run(tmp_path, keys | {"b": "b2"})
    seal_shards(
        {"a": partial(store.members, "a", "a1"), "b": partial(store.members, "b", "b2")}, LAYOUT, tmp_path / "out2"
    )
    worked_on(tmp_path)
    kill_at(monkeypatch, module, function, call)
    with pytest.raises(KeyboardInterrupt):
        store.keep(tmp_path / "out2", keys | {"b": "b2"}, LAYOUT)
    monkeypatch.undo()
    store, _ = run(tmp_path, keys | {"b": "b2"})
    assert worked_on(tmp_path) == []
    assert store.members("a", "a1") == {"t00.png": b"a1"}
    assert store.members("b", "b2") == {"t00.png": b"b2"}


def sealed(tmp_path: Path, keys: Mapping[str, str], out: str) -> ItemStore:
    """Make what is not made yet and seal all of it, two to a shard."""
    store, _ = run(tmp_path, keys)
    layout = store.lay_out(keys, 2)
    seal_shards(store.readers(keys), layout, tmp_path / out, store.unchanged(keys, layout))
    store.keep(tmp_path / out, keys, layout)
    return store


def test_item_store_unchanged_shards_are_those_with_the_same_items(tmp_path: Path) -> None:
    keys = {uid: f"{uid}1" for uid in "abcdef"}
    store = ItemStore(tmp_path / "work")
    assert store.unchanged(keys, store.lay_out(keys, 2)) == {}, "nothing was sealed yet"
    store = sealed(tmp_path, keys, "first")
    layout = store.lay_out(keys, 2)
    changed = layout.shard_of["a"]
    every = {shard_name(number) for number in range(3)}
    assert store.unchanged(keys, layout).keys() == every
    assert store.unchanged(keys | {"a": "a2"}, layout).keys() == every - {changed}
    more = keys | {"g": "g1"}
    assert store.unchanged(more, store.lay_out(more, 2)).keys() == every
    shard = tmp_path / "first" / changed
    shard.write_bytes(shard.read_bytes()[:600])
    assert store.unchanged(keys, layout).keys() == every - {changed}
    with pytest.raises(ValueError, match=r"is truncated"):
        sealed(tmp_path, keys, "second")


def test_item_store_sealed_again_with_more_items_gives_the_bytes_of_a_set_made_at_once(tmp_path: Path) -> None:
    keys = {uid: f"{uid}1" for uid in "abcd"}
    after = keys | {"b": "b2", "e": "e1"}
    layout = sealed(tmp_path, keys, "out").lay_out(after, 2)
    sealed(tmp_path, after, "twice")
    (tmp_path / "other").mkdir()
    store, _ = run(tmp_path / "other", after)
    seal_shards(store.readers(after), layout, tmp_path / "once")
    twice, once = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("twice", "once"))
    assert twice == once


def test_item_store_sealed_before_indexes_were_columns_makes_nothing_again(tmp_path: Path) -> None:
    keys = {uid: f"{uid}1" for uid in "abcd"}
    store = sealed(tmp_path, keys, "out")
    [folder] = store.folder.glob("sealed-*")
    index = read_index(folder)
    rows = {
        uid: {"shard": shard_name(index.shard(uid)), "members": {"t00.png": list(index.place(uid, "t00.png"))}}
        for uid in keys
    }
    write_json(folder / "index.json", rows)
    (folder / "index.safetensors").unlink()
    worked_on(tmp_path)
    later = sealed(tmp_path, keys, "again")
    assert worked_on(tmp_path) == []
    assert {uid: later.members(uid, key) for uid, key in keys.items()} == {
        uid: {"t00.png": key.encode()} for uid, key in keys.items()
    }
    assert read_index(tmp_path / "again").uids == index.uids


def test_journal_torn_last_row_is_ignored_and_spoils_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("k1", Done("a"))
    with journal.path.open("a") as handle:
        handle.write('{"key": "k2", "outc')
    journal.append("k3", Rejected("c", "why"))
    assert journal.known() == {"k1": Done("a"), "k3": Rejected("c", "why")}


def test_journal_failure_is_not_final_but_a_later_success_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("k", Failed("a", "boom"))
    assert journal.known() == {}
    journal.append("k", Done("a"))
    assert journal.known() == {"k": Done("a")}
