"""The Objaverse source against a local server with the hub's layout."""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.storage.store import RemoteStore
from tasks.ports import Tools
from tasks.sources.objaverse import ObjaverseSource
from tests.infra.server import Fault, WebServer
from tests.tasks.hub import catalog_config, glb, hub_path, lay_out_hub
from tests.tasks.toolbox import make_tools

UIDS = [f"object{index:02d}" for index in range(12)]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "hub", {uid: glb(uid) for uid in UIDS})
    with WebServer(tmp_path / "hub") as web:
        yield web


def hub_tools(tmp_path: Path, url: str) -> Tools:
    return make_tools(tmp_path, hub_url=url, store=RemoteStore(attempts=3, backoff=0.01, read_timeout=60.0))


def test_objaverse_entries_carry_location_title_and_licence(hub: WebServer, tmp_path: Path) -> None:
    entries = ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url)).listing().entries
    assert [entry.uid for entry in entries] == UIDS
    first, last = entries[0], entries[-1]
    assert (first.location, first.title, first.license) == ("glbs/000-000/object00.glb", "Thing object00", "by")
    assert (last.title, last.license, last.score, last.source) == ("", "", None, "objaverse")


def test_objaverse_annotations_fill_the_columns_of_the_catalog(hub: WebServer, tmp_path: Path) -> None:
    table = ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url)).listing().table
    first, *_, last = table.to_pylist()
    assert first == {
        **dict.fromkeys(table.column_names),
        "uid": "object00",
        "location": "glbs/000-000/object00.glb",
        "title": "Thing object00",
        "license": "by",
        "source": "objaverse",
        "author": "somebody",
        "lvis_category": "mug",
        "tags": ["old", "object00"],
        "categories": ["furniture-home"],
        "num_faces": 1234,  # of the GLB file, not of the original
        "num_vertices": 700,
        "num_animations": 0,
        "view_count": 1000,
        "like_count": 10,
        "bytes": 5000,
        "published": "2021-04-20T12:34:56.123456",
        "thumbnail": "https://x.org/1920.jpeg",
        "is_age_restricted": False,
    }
    said = {name for name, value in last.items() if value not in (None, "")}
    assert said == {"uid", "location", "source"}, "it has no annotation"


def test_objaverse_entries_of_few_objects_fetch_only_their_metadata(hub: WebServer, tmp_path: Path) -> None:
    config = catalog_config(include=["object0[45]", "object10"])
    ObjaverseSource(config, 0, hub_tools(tmp_path, hub.url)).listing()
    fetched = sorted(hub.requests)
    notes = ["metadata/000-002.json.gz", "metadata/000-005.json.gz"]
    assert fetched == ["lvis-annotations.json.gz", *notes, "object-paths.json.gz"]


def test_objaverse_entries_listed_again_fetch_nothing(hub: WebServer, tmp_path: Path) -> None:
    source = ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url))
    first = source.listing().entries
    hub.requests.clear()
    assert source.listing().entries == first
    assert hub.requests == []


def test_objaverse_entries_with_max_objects_grow_by_addition(hub: WebServer, tmp_path: Path) -> None:
    tools = hub_tools(tmp_path, hub.url)
    five = {entry.uid for entry in ObjaverseSource(catalog_config(max_objects=5), 0, tools).listing().entries}
    eight = {entry.uid for entry in ObjaverseSource(catalog_config(max_objects=8), 0, tools).listing().entries}
    assert len(five) == 5
    assert len(eight) == 8
    assert five < eight


def test_objaverse_index_cut_short_on_the_way_is_completed(hub: WebServer, tmp_path: Path) -> None:
    hub.faults["object-paths.json.gz"] = [Fault(status=503), Fault(after_bytes=20)]
    assert len(ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url)).listing().entries) == 12


def test_objaverse_metadata_broken_at_the_hub_is_not_kept(hub: WebServer, tmp_path: Path) -> None:
    path = hub.folder / "metadata" / "000-001.json.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    source = ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url))
    with pytest.raises(OSError, match=r"metadata/000-001\.json\.gz is not a whole gzip file"):
        source.listing()
    path.write_bytes(whole)
    assert len(source.listing().entries) == 12


def test_objaverse_unreachable_hub_names_address_and_remedy(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=rf"cannot be read at {url}: .*Connection refused.*hub_url"):
            ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, url)).listing()


def test_objaverse_include_that_matches_nothing_raises_valueerror(hub: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"catalog\.include chair\* matches no object"):
        ObjaverseSource(catalog_config(include=["chair*"]), 0, hub_tools(tmp_path, hub.url)).listing()


def test_objaverse_fetch_writes_the_object_and_keeps_the_limit(hub: WebServer, tmp_path: Path) -> None:
    source = ObjaverseSource(catalog_config(), 0, hub_tools(tmp_path, hub.url + "/"))
    entry = source.listing().entries[3]
    assert entry.location == hub_path("object03")
    assert source.fetch(entry, tmp_path / "got").read_bytes() == glb("object03")
    with pytest.raises(OSError, match="limit is 10") as caught:
        source.fetch(entry, tmp_path / "other", max_bytes=10)
    assert caught.value.errno == errno.EFBIG
