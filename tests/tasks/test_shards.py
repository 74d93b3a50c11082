import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.shards import ShardReader, read_item, seal_shards, shard_name, write_item


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
    seal_shards(make_items(5), 1, tmp_path / "out")
    samples = list(webdataset.WebDataset(str(tmp_path / "out" / "shard-00000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [f"object-{index:03d}" for index in range(5)]
    assert samples[3]["t00.png"] == bytes([3]) * 103


def test_seal_shards_adding_objects_leaves_most_shards_alone(tmp_path):
    seal_shards(make_items(200), 64, tmp_path / "before")
    seal_shards(make_items(210), 64, tmp_path / "after")
    same = [
        path.name
        for path in (tmp_path / "before").glob("*.tar")
        if path.read_bytes() == (tmp_path / "after" / path.name).read_bytes()
    ]
    assert len(same) >= 64 - 10 - 5


def test_shard_reader_truncated_shard_names_the_file_and_the_remedy(tmp_path):
    seal_shards(make_items(3), 1, tmp_path / "out")
    shard = tmp_path / "out" / "shard-00000.tar"
    shard.write_bytes(shard.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"shard-00000.tar is truncated.*dvc checkout"):
        ShardReader.open(tmp_path / "out").read("object-002", "t00.png")


def test_shard_reader_unsealed_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no index.json"):
        ShardReader.open(tmp_path)


@given(st.text(min_size=1, max_size=20), st.integers(1, 1000))
def test_shard_name_depends_on_the_uid_alone_and_stays_in_range(uid, shards):
    name = shard_name(uid, shards)
    assert name == shard_name(uid, shards)
    assert 0 <= int(name[6:11]) < shards


def test_shard_tars_carry_no_time_or_owner(tmp_path):
    seal_shards(make_items(2), 1, tmp_path)
    with tarfile.open(tmp_path / "shard-00000.tar") as tar:
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}
