import io
import json
import pickle
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.shards import Layout, Members, ShardReader, lay_out, read_item, seal_shards, write_item
from tasks.artifacts.tables import MAX_UID


def make_items(count: int) -> dict[str, Callable[[], dict[str, bytes]]]:
    items = {}
    for index in range(count):
        uid = f"object-{index:03d}"
        members = {"t00.png": bytes([index]) * (100 + index), "cameras.json": f'{{"i": {index}}}'.encode()}
        items[uid] = members.copy
    return items


def seal(count: int, size: int, out: Path, before: Layout | None = None) -> Layout:
    """Seal that many items; their layout."""
    layout: Layout = lay_out(make_items(count), size, before)
    seal_shards(make_items(count), layout, out)
    return layout


def test_write_item_same_members_in_another_order_gives_equal_bytes(tmp_path: Path) -> None:
    write_item(tmp_path / "a.tar", {"x": b"1", "y": b"2"})
    write_item(tmp_path / "b.tar", {"y": b"2", "x": b"1"})
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert read_item(tmp_path / "a.tar") == {"x": b"1", "y": b"2"}


@pytest.mark.parametrize("sizes", [(0,), (1, 512, 513), (20 * 512 - 1, 7), (511,) * 43])
def test_items_and_shards_have_the_bytes_that_tarfile_writes(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    members = {f"t{number:02d}.png": bytes([number]) * size for number, size in enumerate(sizes)}
    write_item(tmp_path / "item.tar", members)
    uid = "x" * MAX_UID
    seal_shards({uid: members.copy}, lay_out([uid], 1), tmp_path)
    for name, prefix in (("item.tar", ""), ("shard-00000.tar", f"{uid}.")):
        with tarfile.open(tmp_path / "library.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for member, content in members.items():
                info = tarfile.TarInfo(prefix + member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        assert (tmp_path / name).read_bytes() == (tmp_path / "library.tar").read_bytes()


def test_item_cut_short_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    write_item(tmp_path / "item.tar", {"x": b"1" * 600})
    content = (tmp_path / "item.tar").read_bytes()
    for size in (0, 100, 600, 1024):
        (tmp_path / "item.tar").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"item.tar: the tar is cut short; remove it and run the stage again"):
            read_item(tmp_path / "item.tar")


def test_index_of_the_old_form_is_still_read(tmp_path: Path) -> None:
    """Sets that were sealed before hold days of rendering."""
    seal(20, 3, tmp_path)
    new = ShardReader.open(tmp_path)
    rows = {
        uid: {
            "shard": new.shard(uid).name,
            "members": {name: list(new.index.place(uid, name)) for name in new.names(uid)},
        }
        for uid in new.uids
    }
    (tmp_path / "index.safetensors").unlink()
    (tmp_path / "index.json").write_text(json.dumps(rows))
    old = ShardReader.open(tmp_path)
    assert old.uids == new.uids
    for uid in new.uids:
        for name in new.names(uid):
            assert old.read(uid, name) == new.read(uid, name)


def test_index_places_agree_with_the_headers_of_the_tar(tmp_path: Path) -> None:
    seal(20, 3, tmp_path)
    index = ShardReader.open(tmp_path).index
    for path in tmp_path.glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                uid, name = member.name.split(".", 1)
                assert index.place(uid, name) == (member.offset_data, member.size)


def test_index_of_some_objects_pickles_small_and_reads_the_same(tmp_path: Path) -> None:
    seal(200, 8, tmp_path)
    reader = ShardReader.open(tmp_path)
    few = reader.only(["object-007", "object-150"])
    assert len(pickle.dumps(few)) < 2500 < len(pickle.dumps(reader))
    assert few.uids == ["object-007", "object-150"]
    assert few.read("object-150", "t00.png") == reader.read("object-150", "t00.png")
    with pytest.raises(KeyError, match="object-008 is not in"):
        few.read("object-008", "t00.png")
    with pytest.raises(KeyError, match=r"object-007 has no t01\.png"):
        few.read("object-007", "t01.png")


def test_damaged_index_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    seal(3, 9, tmp_path)
    path = tmp_path / "index.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"index.safetensors is damaged.*dvc checkout"):
        ShardReader.open(tmp_path)


def test_seal_shards_links_the_shards_that_are_unchanged_and_writes_the_same_as_anew(tmp_path: Path) -> None:
    before = seal(200, 8, tmp_path / "before")
    items = make_items(220)
    layout = lay_out(items, 8, before)
    reader = ShardReader.open(tmp_path / "before")
    full = [shard for shard, count in Counter(before.shard_of.values()).items() if count == 8]
    seal_shards(items, layout, tmp_path / "linked", dict.fromkeys(full, reader))
    seal_shards(items, layout, tmp_path / "anew")
    linked, anew = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("linked", "anew")
    )
    assert linked == anew
    same = [path for path in (tmp_path / "linked").glob("*.tar") if path.stat().st_nlink == 2]
    assert len(same) == 25


def test_shard_reader_reads_every_member_back(tmp_path: Path) -> None:
    items = make_items(20)
    seal_shards(items, lay_out(items, 3), tmp_path / "out")
    reader = ShardReader.open(tmp_path / "out")
    for uid, read in items.items():
        assert {name: reader.read(uid, name) for name in reader.names(uid)} == read()


def test_sealed_shards_take_the_longest_uid_with_the_longest_member(tmp_path: Path) -> None:
    items: dict[str, Callable[[], Members]] = {"x" * MAX_UID: lambda: {"t31.normal.png": b"1", "cameras.json": b"2"}}
    seal_shards(items, lay_out(items, 1), tmp_path / "out")
    with tarfile.open(tmp_path / "out" / "shard-00000.tar") as tar:
        assert tar.getnames() == [f"{'x' * MAX_UID}.cameras.json", f"{'x' * MAX_UID}.t31.normal.png"]


def test_sealed_shards_are_webdataset_tars(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    seal(5, 9, tmp_path / "out")
    samples = list(webdataset.WebDataset(str(tmp_path / "out" / "shard-00000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"object-{index:03d}" for index in range(5)]
    assert samples[3]["t00.png"] == bytes([3]) * 103


def test_seal_shards_a_tenth_more_objects_rewrites_none_of_the_full_shards(tmp_path: Path) -> None:
    before = seal(200, 8, tmp_path / "before")
    seal(220, 8, tmp_path / "after", before)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.tar")} for name in ("before", "after")
    )
    assert (len(first), len(second)) == (25, 28)
    assert first.items() <= second.items()
    assert len(ShardReader.open(tmp_path / "after").uids) == 220


def test_lay_out_fills_the_last_shard_before_a_new_one_is_begun() -> None:
    layout = lay_out(make_items(20), 8, lay_out(make_items(13), 8))
    counts = Counter(layout.shard_of.values())
    assert counts == {"shard-00000.tar": 8, "shard-00001.tar": 8, "shard-00002.tar": 4}


def test_seal_shards_object_that_was_not_made_keeps_its_place(tmp_path: Path) -> None:
    items = make_items(20)
    layout = lay_out(items, 8)
    seal_shards({uid: items[uid] for uid in sorted(items)[:-3]}, layout, tmp_path / "partly")
    seal_shards(items, lay_out(items, 8, layout), tmp_path / "later")
    seal(20, 8, tmp_path / "at once")
    later, at_once = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("later", "at once")
    )
    assert later == at_once


def test_shard_reader_truncated_shard_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    seal(3, 9, tmp_path / "out")
    shard = tmp_path / "out" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"shard-00000.tar is truncated.*dvc checkout"):
        ShardReader.open(tmp_path / "out").read("object-002", "t00.png")


def test_shard_reader_unsealed_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no index.safetensors"):
        ShardReader.open(tmp_path)


UIDS = st.sets(st.text("abcdef", min_size=1, max_size=4), max_size=40)


@given(UIDS, UIDS, st.integers(1, 9))
def test_lay_out_holds_each_object_once_and_moves_none(first: set[str], second: set[str], size: int) -> None:
    before = lay_out(first, size)
    after = lay_out(second, size, before)
    assert after.shard_of.keys() == second
    assert max(Counter(after.shard_of.values()).values(), default=0) <= size
    assert all(before.shard_of[uid] == after.shard_of[uid] for uid in first & second)
    assert lay_out(second, size, after) == after
    assert lay_out(second, size + 1, before) == lay_out(second, size + 1)


def test_shard_tars_carry_no_time_or_owner(tmp_path: Path) -> None:
    seal(2, 9, tmp_path)
    with tarfile.open(tmp_path / "shard-00000.tar") as tar:
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
