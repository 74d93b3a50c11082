"""Copies on the node's own disk, from an S3 server that is busy now and then."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.storage.node_cache import NodeCache
from tests.infra.s3 import S3Server
from tests.small_disk import small_disk

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def copies(s3: S3Server, tmp_path: Path) -> NodeCache:
    (tmp_path / "origin").mkdir()
    (tmp_path / "origin" / "a.bin").write_bytes(CONTENT)
    url = s3.upload(tmp_path / "origin", "training", "latents")
    return NodeCache(url, tmp_path / "copies", s3.url, attempts=4)


@pytest.mark.slow(seconds=5)
def test_copy_is_made_once_although_the_server_is_busy_at_first(s3: S3Server, copies: NodeCache) -> None:
    s3.busy = 2
    path = pickle.loads(pickle.dumps(copies)).path("key", "a.bin")
    assert path.read_bytes() == CONTENT
    assert len(s3.requests) == 4, "two refused, then one question for the version and one for the file"
    assert copies.path("key", "a.bin") == path
    assert len(s3.requests) == 4
    assert copies.path("other", "a.bin") != path


def test_copy_asked_for_by_many_at_once_is_made_once(s3: S3Server, copies: NodeCache) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: copies.path("key", "a.bin"), range(8)))
    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert s3.requests.count("GET /training/latents/a.bin") == 1


def test_copy_of_a_file_that_is_not_there_says_what_to_do(copies: NodeCache) -> None:
    with pytest.raises(FileNotFoundError, match=r"s3://training/latents/b\.bin: .*404.*set latents_url in the profile"):
        copies.path("key", "b.bin")
    assert not list((copies.folder / "key").glob("*.bin"))


def test_copy_from_a_server_that_stays_busy_is_given_up(s3: S3Server, copies: NodeCache) -> None:
    s3.busy = 100
    with pytest.raises(OSError, match=r"s3://training/latents/a\.bin: .*503.*tried 1 times"):
        NodeCache(copies.url, copies.folder, s3.url, attempts=1).path("key", "a.bin")


def test_copy_onto_a_full_disk_names_the_disk_and_the_remedy(s3: S3Server, copies: NodeCache, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as resize:
        resize(64)
        full = NodeCache(copies.url, tmp_path / "disk", s3.url, attempts=1)
        sentence = rf"cannot copy a\.bin into {full.folder}/key, where 0 MiB are free: No space left .* latents_copies "
        with pytest.raises(OSError, match=sentence):
            full.path("key", "a.bin")
        assert not [path for path in (tmp_path / "disk" / "key").iterdir() if path.name != ".a.bin.lock"]
