"""A node's copies of files of a store: made once, bounded, verified."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.storage.blob_cache import BlobCache
from infra.storage.blob_store import Blob, BlobStore
from tests.small_disk import small_disk

KIB = 1024


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "store"), None, attempts=1)


def put(store: BlobStore, folder: Path, name: str, size: int = 100 * KIB) -> Blob:
    path = folder / "sources" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(name.encode().ljust(size, b"."))
    return store.put(path)


def cache_of(store: BlobStore, folder: Path, limit_kib: int = 10_000) -> BlobCache:
    return BlobCache(store, folder / "node", limit_kib * KIB)


def copies(cache: BlobCache) -> set[str]:
    return {path.read_bytes()[:1].decode() for path in cache.folder.glob("copies/*/*")}


def test_copy_is_made_once_and_outlives_its_file_in_the_store(store: BlobStore, tmp_path: Path) -> None:
    blob, cache = put(store, tmp_path, "a"), cache_of(store, tmp_path)
    cache.link(blob, tmp_path / "first" / "a")
    store.delete(blob)
    cache.link(blob, tmp_path / "second" / "a")
    cache.link(blob, tmp_path / "second" / "a")
    first, second = (tmp_path / "first" / "a").stat(), (tmp_path / "second" / "a").stat()
    assert first.st_size == 100 * KIB
    assert first.st_ino == second.st_ino


def test_copy_asked_for_by_many_at_once_is_made_once(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, asked = put(store, tmp_path, "a"), []
    get = BlobStore.get

    def counted(self: BlobStore, one: Blob, target: Path) -> None:
        asked.append(one)
        get(self, one, target)

    monkeypatch.setattr(BlobStore, "get", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: cache_of(store, tmp_path).link(blob, tmp_path / f"got{number}"), range(8)))
    assert len(asked) == 1
    assert all((tmp_path / f"got{number}").exists() for number in range(8))


def test_copies_above_the_bound_go_the_one_used_longest_ago_first(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_of(store, tmp_path, limit_kib=250)
    for number, name in enumerate("abca"):
        cache.link(put(store, tmp_path, name), tmp_path / name / "link")
        (tmp_path / name / "link").unlink()
        for path in cache.folder.glob("copies/*/*"):
            if path.read_bytes()[:1].decode() == name:
                os.utime(path, (number, number))
        if name == "b":
            cache.link(put(store, tmp_path, "a"), tmp_path / "a" / "link")  # used again
            (tmp_path / "a" / "link").unlink()
    assert copies(cache) == {"a", "c"}


def test_copies_in_use_stay_whatever_the_bound(store: BlobStore, tmp_path: Path) -> None:
    cache = cache_of(store, tmp_path, limit_kib=50)
    for name in "abc":
        cache.link(put(store, tmp_path, name), tmp_path / name / "link")
    assert copies(cache) == {"a", "b", "c"}
    assert all((tmp_path / name / "link").stat().st_size == 100 * KIB for name in "abc")


def test_full_disk_of_the_node_is_named_with_the_remedy(store: BlobStore, tmp_path: Path) -> None:
    blob = put(store, tmp_path, "a")
    with small_disk(tmp_path / "node") as resize:
        resize(64)
        sentence = r"cannot bring files to .*/node on \S+, where 0 MiB are free: No space left .*set node_folder"
        with pytest.raises(OSError, match=sentence):
            cache_of(store, tmp_path).link(blob, tmp_path / "node" / "tree" / "a")
