"""A stage that lets loose items go shard by shard while it seals, killed wherever it may be."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shard_index import ShardIndex, shard_name
from tasks.artifacts.shards import ShardReader, seal_shards
from tests.tasks.artifacts.test_resume import kill_at, run, worked_on

KEYS = {uid: f"{uid}1" for uid in "abcdefgh"}
SIZE = 2


def seal(tmp_path: Path, keys: Mapping[str, str], out: Path) -> ItemStore:
    """Make what is not made yet and seal all of it into `out`, as `render` does; what was there before is removed."""
    shutil.rmtree(out, ignore_errors=True)
    store, _ = run(tmp_path, keys)
    layout = store.lay_out(keys, SIZE)
    seal_shards(store.readers(keys), layout, out, store.unchanged(keys, layout), store.releasing(keys))
    store.keep(out, keys, layout)
    return store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def unhurt(tmp_path: Path) -> dict[str, bytes]:
    """The set as a run leaves it that nobody kills."""
    (tmp_path / "unhurt").mkdir()
    seal(tmp_path / "unhurt", KEYS, tmp_path / "unhurt" / "out")
    return contents(tmp_path / "unhurt" / "out")


def test_released_items_go_shard_by_shard_and_the_disk_never_holds_more_than_one_shard_twice(tmp_path: Path) -> None:
    out, held = tmp_path / "out", []
    store, _ = run(tmp_path, KEYS)
    layout, release = store.lay_out(KEYS, SIZE), store.releasing(KEYS)

    def watched(shard: Path, index: ShardIndex) -> None:
        release(shard, index)
        loose = {path.stem for path in (store.folder / "items").iterdir()}
        held.append((len(list(out.glob("*.tar"))), len(loose)))
        for uid, key in KEYS.items():
            assert store.members(uid, key) == {"t00.png": key.encode()}

    seal_shards(store.readers(KEYS), layout, out, {}, watched)
    assert held == [(1, 6), (2, 4), (3, 2), (4, 0)]
    inodes = {path.stat().st_ino for path in tmp_path.rglob("*.tar")}
    assert len(inodes) == 4, "what is kept of the released shards is links"
    store.keep(out, KEYS, layout)
    assert not (store.folder / "released").exists()


@pytest.mark.parametrize(
    ("function", "call"),
    [("link", 1), ("link", 3), ("link", 6), *(("replace", call) for call in (1, 2, 3, 5, 13, 14)),
     *(("unlink", call) for call in (2, 5, 9, 17)), ("fsync", 4)],
)  # fmt: skip
def test_killed_while_items_are_released_goes_on_without_losing_or_repeating_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unhurt: dict[str, bytes], function: str, call: int
) -> None:
    run(tmp_path, KEYS)
    worked_on(tmp_path)
    kill_at(monkeypatch, os, function, call)
    with pytest.raises(KeyboardInterrupt):
        seal(tmp_path, KEYS, tmp_path / "out")
    monkeypatch.undo()
    seal(tmp_path, KEYS, tmp_path / "out")
    assert worked_on(tmp_path) == []
    assert contents(tmp_path / "out") == unhurt
    assert not list((tmp_path / "work" / "items").iterdir())
    assert not (tmp_path / "work" / "released").exists()


def killed_at_last_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave three of four shards released, and nothing of the set."""
    run(tmp_path, KEYS)
    kill_at(monkeypatch, os, "link", 4)
    with pytest.raises(KeyboardInterrupt):
        seal(tmp_path, KEYS, tmp_path / "out")
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "out")
    worked_on(tmp_path)


def test_shards_released_before_a_kill_are_linked_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_last_shard(tmp_path, monkeypatch)
    store, _ = run(tmp_path, KEYS)
    assert store.unchanged(KEYS, store.lay_out(KEYS, SIZE)).keys() == {shard_name(number) for number in range(3)}
    before = {path.stat().st_ino for path in (tmp_path / "work" / "released").rglob("*.tar")}
    seal(tmp_path, KEYS, tmp_path / "out")
    assert before < {path.stat().st_ino for path in (tmp_path / "out").glob("*.tar")}


def test_after_a_kill_changed_and_added_objects_are_made_and_the_rest_is_taken_from_released_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_last_shard(tmp_path, monkeypatch)
    keys = KEYS | {"a": "a2", "i": "i1", "j": "j1", "k": "k1"}
    seal(tmp_path, keys, tmp_path / "out")
    assert sorted(worked_on(tmp_path)) == ["a", "i", "j", "k"]
    (tmp_path / "other").mkdir()
    seal(tmp_path / "other", keys, tmp_path / "other" / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "other" / "out")


def test_released_shard_that_was_cut_short_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_at_last_shard(tmp_path, monkeypatch)
    cut = next((tmp_path / "work" / "released").rglob(shard_name(0)))
    lost = ShardReader.open(cut.parent).uids
    cut.write_bytes(cut.read_bytes()[:-512])
    seal(tmp_path, KEYS, tmp_path / "out")
    assert sorted(worked_on(tmp_path)) == lost
    assert ShardReader.open(tmp_path / "out").uids == list(KEYS)
