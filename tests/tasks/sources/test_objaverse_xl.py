"""Objaverse-XL against a local server with the layouts of the hub, of GitHub and of the Smithsonian."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.storage.store import RemoteStore
from tasks.config import DownloadConfig
from tasks.outcome import Done, Failed, Rejected
from tasks.ports import Tools
from tasks.sources.fetching import Fetcher
from tasks.sources.objaverse_xl import GITHUB, GITHUB_LFS, HUB, SMITHSONIAN, ObjaverseXLSource
from tasks.sources.source import Listing
from tests.infra.server import Fault, WebServer
from tests.tasks.hub import catalog_config, glb, lay_out_hub
from tests.tasks.toolbox import make_tools

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MUG = "00000000000000000000000000000a00"  # a uid of Sketchfab, which ends in two digits for the hub's layout
OBJ = b"mtllib my%20mug.mtl\nmtllib mug.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\n"
MTL = b"newmtl red\nmap_Kd ../textures/red.png\nmap_Bump ../../../../etc/passwd\n"
FILES: Mapping[str, bytes] = {
    "github/someone/things/{commit}/models/old cup.glb": glb("cup"),
    "github/someone/things/{commit}/models/mug.obj": OBJ,
    "github/someone/things/{commit}/models/mug.mtl": MTL,
    "github/someone/things/{commit}/textures/red.png": b"a picture",
    "github/someone/things/{commit}/big.glb": b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n",
    "lfs/someone/things/{commit}/big.glb": glb("big"),
    "si/content/document/3d_package:1/fossil.glb": glb("fossil"),
}


def row(identifier: str, source: str, content: bytes | None, kind: str = "glb", **others: Any) -> dict[str, Any]:
    sha256 = None if content is None else hashlib.sha256(content).hexdigest()
    return {"fileIdentifier": identifier, "source": source, "fileType": kind, "sha256": sha256, "metadata": "{}"} | {
        "license": "Creative Commons - Attribution",
        **others,
    }


def at_github(path: str, content: bytes | None, kind: str = "glb", **others: Any) -> dict[str, Any]:
    return row(f"https://github.com/someone/things/blob/{COMMIT}/{path}", "github", content, kind, **others)


def write_list(hub: WebServer, name: str, rows: list[dict[str, Any]]) -> None:
    path = hub.folder / "xl" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "web" / "objaverse", {MUG: glb("mug"), f"{MUG[:-2]}01": glb("other")})
    for name, content in FILES.items():
        path = tmp_path / "web" / name.format(commit=COMMIT)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with WebServer(tmp_path / "web") as web:
        yield web


def tools_at(hub: WebServer, folder: Path) -> Tools:
    mirrors = {HUB: f"{hub.url}/xl", GITHUB: f"{hub.url}/github", GITHUB_LFS: f"{hub.url}/lfs"}
    store = RemoteStore(attempts=2, backoff=0.01, mirrors={**mirrors, SMITHSONIAN: f"{hub.url}/si"})
    return make_tools(folder, hub_url=f"{hub.url}/objaverse", store=store)


def source_at(hub: WebServer, folder: Path, **config: Any) -> ObjaverseXLSource:
    return ObjaverseXLSource(catalog_config(source="objaverse-xl", **config), 0, tools_at(hub, folder))


def listed(hub: WebServer, folder: Path, rows: list[dict[str, Any]], **config: Any) -> Listing:
    write_list(hub, "github/github.parquet", rows)
    return source_at(hub, folder, parts=["github"], **config).listing()


def fetched(hub: WebServer, folder: Path, rows: list[dict[str, Any]]) -> list[tuple[Path, Done | Rejected | Failed]]:
    """Where each object lies, and what became of it."""
    entries = listed(hub, folder, rows).entries
    config = DownloadConfig(max_mb=1, max_failed_share=1)
    fetcher = Fetcher(source_at(hub, folder), config, folder / "download", hub.url)
    return [(fetcher.folder(entry), fetcher.fetch(entry).outcome) for entry in entries]


def test_xl_lists_objects_of_each_source_with_their_hashes(hub: WebServer, tmp_path: Path) -> None:
    sketchfab = row(f"https://sketchfab.com/3d-models/{MUG}", "sketchfab", glb("mug"))
    smithsonian = row(f"{SMITHSONIAN}/content/document/3d_package:1/fossil.glb", "smithsonian", glb("fossil"))
    write_list(hub, "sketchfab/alignment.parquet", [sketchfab])
    write_list(hub, "smithsonian/smithsonian.parquet", [smithsonian])
    write_list(hub, "github/alignment.parquet", [at_github("models/old%20cup.glb", glb("cup"), license=None)])
    source = source_at(hub, tmp_path, parts=["sketchfab-alignment", "github-alignment", "smithsonian"])
    entries = {entry.location.split(":")[0]: entry for entry in source.listing().entries}
    cup = entries["github"]
    assert (cup.location, cup.title) == (f"github:someone/things/{COMMIT}/models/old cup.glb", "old cup")
    assert (cup.author, cup.license, cup.source) == ("someone", "", "objaverse-xl")
    assert cup.uid == cup.sha256 == hashlib.sha256(glb("cup")).hexdigest()
    assert (entries["sketchfab"].uid, entries["sketchfab"].location) == (MUG, f"sketchfab:glbs/000-000/{MUG}.glb")
    for kind, content in (("github", "cup"), ("sketchfab", "mug"), ("smithsonian", "fossil")):
        assert source.fetch(entries[kind], tmp_path / "got").read_bytes() == glb(content)


def test_xl_without_parts_reads_the_two_lists_of_the_tuned_objects(hub: WebServer, tmp_path: Path) -> None:
    write_list(hub, "sketchfab/alignment.parquet", [row("https://sketchfab.com/3d-models/0", "sketchfab", b"")])
    write_list(hub, "github/alignment.parquet", [at_github("models/old cup.glb", glb("cup"))])
    assert len(source_at(hub, tmp_path).listing().entries) == 1
    read = {name for name in hub.requests if name.startswith("xl/")}
    assert read == {"xl/sketchfab/alignment.parquet", "xl/github/alignment.parquet"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            row("https://www.thingiverse.com/thing:1/files?fileId=2", "thingiverse", b"x", "stl"),
            "a file of Thingiverse: STL",
        ),
        (row("https://x.org/1.glb", "ftp", b"x"), "its source is ftp; known are sketchfab, github"),
        (row("https://x.org/1.glb", None, b"x"), "its source is not said"),  # type: ignore[arg-type]
        (at_github("a.glb", None), "its sha256 is not said, which is no hash"),
        (at_github("a.glb", b"x", sha256="abc"), "its sha256 is abc, which is no hash"),
        (at_github("a.abc", b"x", "abc"), "a file of kind abc, which cannot be rendered"),
        (at_github("../../a.glb", b"x"), "is not a file of a commit at GitHub"),
        (row("https://github.com/a/b/blob/main/x.glb", "github", b"x"), "is not a file of a commit at GitHub"),
        (row("", "github", b"x"), "its empty address is not a file of a commit"),
        (
            row("https://sketchfab.com/3d-models/ffffffffffffffffffffffffffffffff", "sketchfab", b"x"),
            "is not in Objaverse 1.0",
        ),
        (row("https://si.edu/x.glb", "smithsonian", b"x"), "is not below https://3d-api.si.edu"),
        (at_github("copies/cup.glb", glb("cup")), "the same bytes as github:someone/things/"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_xl_row_that_is_no_object_is_turned_away_with_the_reason(
    hub: WebServer, tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    listing = listed(hub, tmp_path, [at_github("models/old cup.glb", glb("cup")), bad])
    assert len(listing.entries) == 1
    (outcome,) = listing.turned_away
    assert reason in outcome.reason


def test_xl_list_that_was_cut_short_is_not_kept(hub: WebServer, tmp_path: Path) -> None:
    rows = [at_github("models/old cup.glb", glb("cup"))]
    write_list(hub, "github/github.parquet", rows)
    path = hub.folder / "xl" / "github" / "github.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(OSError, match=r"github/github\.parquet is not a whole parquet file"):
        source_at(hub, tmp_path, parts=["github"]).listing()
    assert len(listed(hub, tmp_path, rows).entries) == 1


def test_xl_list_with_other_columns_is_refused(hub: WebServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has columns \['uid'\], expected also fileIdentifier, source"):
        listed(hub, tmp_path, [{"uid": "a"}])


def test_xl_obj_file_comes_with_the_files_that_it_names_and_no_other(hub: WebServer, tmp_path: Path) -> None:
    ((folder, outcome),) = fetched(hub, tmp_path, [at_github("models/mug.obj", OBJ, "obj")])
    assert isinstance(outcome, Done), outcome
    uid = hashlib.sha256(OBJ).hexdigest()
    assert sorted(path.relative_to(folder / uid).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "models/mug.mtl",
        "models/mug.obj",
        "textures/red.png",
    ]
    assert not any("passwd" in name for name in hub.requests)


def test_xl_file_in_lfs_is_read_where_github_keeps_it(hub: WebServer, tmp_path: Path) -> None:
    ((_, outcome),) = fetched(hub, tmp_path, [at_github("big.glb", glb("big"))])
    assert isinstance(outcome, Done), outcome
    assert outcome.facts["sha256"] == hashlib.sha256(glb("big")).hexdigest()


def test_xl_file_with_another_hash_is_rejected_for_good(hub: WebServer, tmp_path: Path) -> None:
    ((_, outcome),) = fetched(hub, tmp_path, [at_github("models/old cup.glb", glb("cup of before"))])
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("its SHA-256 is ")
    assert "the index says" in outcome.reason


def test_xl_file_that_the_server_changes_on_the_way_is_asked_for_again(hub: WebServer, tmp_path: Path) -> None:
    path = f"github/someone/things/{COMMIT}/models/old cup.glb"
    hub.faults[path] = [Fault(content=glb("cap")), Fault(content=glb("cop"))]
    ((_, outcome),) = fetched(hub, tmp_path, [at_github("models/old cup.glb", glb("cup"))])
    assert isinstance(outcome, Failed)
    assert "the server sent other bytes before" in outcome.error


def test_xl_object_larger_than_allowed_with_its_files_leaves_nothing(hub: WebServer, tmp_path: Path) -> None:
    (hub.folder / f"github/someone/things/{COMMIT}/textures/red.png").write_bytes(b"x" * 2_000_000)
    ((folder, outcome),) = fetched(hub, tmp_path, [at_github("models/mug.obj", OBJ, "obj")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "larger than max_mb 1"
    assert not list(folder.rglob("*.obj"))
