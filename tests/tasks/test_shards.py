import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shards import ShardReader, assign_shards, read_item, seal_shards, write_item


def make_items(count):
    items = {}
    for index in range(count):
        uid = f"object-{index:03d}"
        members = {"t00.png": bytes([index]) * (100 + index), "cameras.json": f'{{"i": {index}}}'.encode()}
        items[uid] = lambda members=members: members
    return items


def test_write_item_same_members_in_another_order_gives_equal_bytes(tmp_path):
    write_item(tmp_path / "a.tar", {"x": b"1", "y": b"2"})
    write_item(tmp_path / "b.tar", {"y": b"2", "x": b"1"})
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert read_item(tmp_path / "a.tar") == {"x": b"1", "y": b"2"}


def test_shard_reader_reads_every_member_back(tmp_path):
    items = make_items(20)
    seal_shards(items, 3, tmp_path / "out")
    reader = ShardReader.open(tmp_path / "out")
    for uid, read in items.items():
        assert {name: reader.read(uid, name) for name in reader.names(uid)} == read()


def test_sealed_shards_are_webdataset_tars(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    seal_shards(make_items(5), 9, tmp_path / "out")
    samples = list(webdataset.WebDataset(str(tmp_path / "out" / "shard-00000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"object-{index:03d}" for index in range(5)]
    assert samples[3]["t00.png"] == bytes([3]) * 103


def test_seal_shards_a_tenth_more_objects_rewrites_one_shard(tmp_path):
    seal_shards(make_items(200), 8, tmp_path / "before")
    index = ShardReader.open(tmp_path / "before").index
    known = {uid: str(row["shard"]) for uid, row in index.items()}
    seal_shards(make_items(220), 8, tmp_path / "after", known)
    before, after = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.tar")} for name in ("before", "after")
    )
    assert (len(before), len(after)) == (25, 28)
    assert all(after[name] == content for name, content in before.items())
    assert len(ShardReader.open(tmp_path / "after").index) == 220


def test_seal_shards_last_shard_is_filled_up_before_a_new_one_is_begun(tmp_path):
    seal_shards(make_items(13), 8, tmp_path / "before")
    known = {uid: str(row["shard"]) for uid, row in ShardReader.open(tmp_path / "before").index.items()}
    assert {shard: len(uids) for shard, uids in assign_shards(make_items(20), 8, known).items()} == {
        "shard-00000.tar": 8,
        "shard-00001.tar": 8,
        "shard-00002.tar": 4,
    }


def test_shard_reader_truncated_shard_names_the_file_and_the_remedy(tmp_path):
    seal_shards(make_items(3), 9, tmp_path / "out")
    shard = tmp_path / "out" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"shard-00000.tar is truncated.*dvc checkout"):
        ShardReader.open(tmp_path / "out").read("object-002", "t00.png")


def test_shard_reader_unsealed_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no index.json"):
        ShardReader.open(tmp_path)


UIDS = st.sets(st.text("abcdef", min_size=1, max_size=4), max_size=40)


@given(UIDS, UIDS, st.integers(1, 9))
def test_assign_shards_holds_each_object_once_and_moves_none(first, second, size):
    before = {uid: shard for shard, uids in assign_shards(first, size, {}).items() for uid in uids}
    after = assign_shards(second, size, before)
    assert sorted(uid for uids in after.values() for uid in uids) == sorted(second)
    assert all(len(uids) <= size for uids in after.values())
    assert all(before[uid] == shard for shard, uids in after.items() for uid in uids if uid in before)
    kept = {uid: shard for shard, uids in after.items() for uid in uids}
    assert assign_shards(second, size, kept) == after


def test_shard_tars_carry_no_time_or_owner(tmp_path):
    seal_shards(make_items(2), 9, tmp_path)
    with tarfile.open(tmp_path / "shard-00000.tar") as tar:
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
