"""TexVerse against a local server with the layout of its two data sets at the hub."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.storage.store import RemoteStore
from tasks.sources import json_members as reading
from tasks.sources.json_members import json_members
from tasks.sources.texverse import HUB, HUB_1K, TexVerseSource
from tests.infra.server import Fault, WebServer
from tests.tasks.hub import catalog_config, glb
from tests.tasks.toolbox import make_tools

KNIGHT, MUG, BIG = (digit * 32 for digit in "abc")


def note(uid: str, *sizes: str, **others: Any) -> dict[str, Any]:
    pixels = {"1k": 1024, "2k": 2048, "4k": 4096, "8k": 8192}
    return {
        "name": f"The {uid[0]}",
        "license": "CC Attribution-NonCommercial",
        "faceCount": 1200,
        "vertexCount": 700,
        "tags": ["old", "pbr"],
        "categories": [{"name": "characters"}],
        "user": {"username": "somebody"},
        "glb_paths": [f"glbs/glbs_{size}/000-041/{uid}_{pixels[size]}.glb" for size in sizes],
    } | others


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    write(tmp_path / "web", {KNIGHT: note(KNIGHT, "8k", "1k"), MUG: note(MUG, "2k"), BIG: note(BIG, "4k", "2k")})
    for path in ("1k/glbs/glbs_1k/000-041/a_1024.glb", "large/glbs/glbs_2k/000-041/b_2048.glb"):
        file = tmp_path / "web" / path.replace("a_", f"{KNIGHT}_").replace("b_", f"{MUG}_")
        file.parent.mkdir(parents=True)
        file.write_bytes(glb(path[:2]))
    with WebServer(tmp_path / "web") as web:
        yield web


def write(folder: Path, notes: Any) -> None:
    (folder / "large").mkdir(parents=True, exist_ok=True)
    (folder / "large" / "metadata.json").write_text(json.dumps(notes))


def source_at(hub: WebServer, folder: Path, **config: Any) -> TexVerseSource:
    mirrors = {HUB: f"{hub.url}/large", HUB_1K: f"{hub.url}/1k"}
    store = RemoteStore(attempts=2, backoff=0.01, mirrors=mirrors)
    return TexVerseSource(catalog_config(source="texverse", **config), 0, make_tools(folder, store=store))


def test_texverse_lists_each_object_as_its_file_with_the_smallest_textures(hub: WebServer, tmp_path: Path) -> None:
    source = source_at(hub, tmp_path)
    knight, mug, big = source.listing().table.to_pylist()
    said = {
        name: knight[name] for name in ("title", "author", "license", "num_faces", "num_vertices", "tags", "source")
    }
    assert said == {
        "title": "The a",
        "author": "somebody",
        "license": "CC Attribution-NonCommercial",
        "num_faces": 1200,
        "num_vertices": 700,
        "tags": ["old", "pbr"],
        "source": "texverse",
    }
    assert [row["location"].split("_")[-1] for row in (knight, mug, big)] == ["1024.glb", "2048.glb", "2048.glb"]
    entries = source.listing().entries
    assert source.fetch(entries[0], tmp_path / "got").read_bytes() == glb("1k")
    assert source.fetch(entries[1], tmp_path / "got").read_bytes() == glb("la")


def test_texverse_rows_that_are_no_objects_are_turned_away(hub: WebServer, tmp_path: Path) -> None:
    notes = {
        KNIGHT: note(KNIGHT, "1k"),
        MUG: note(MUG),
        BIG: "none",
        "../etc": note("x", "1k"),
        "d": {"glb_paths": [3]},
    }
    write(hub.folder, notes)
    listing = source_at(hub, tmp_path).listing()
    assert [entry.uid for entry in listing.entries] == [KNIGHT]
    reasons = sorted(row.reason for row in listing.turned_away)
    assert reasons == [
        "its entry in the list is no JSON object",
        "its uid '../etc' cannot name a file",
        "the list names no GLB file of it",
        "the list names no GLB file of it",
    ]


def test_texverse_list_that_was_cut_short_is_not_kept(hub: WebServer, tmp_path: Path) -> None:
    path = hub.folder / "large" / "metadata.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=r"metadata\.json is not a whole json file"):
        source_at(hub, tmp_path).listing()
    path.write_bytes(whole)
    hub.faults["large/metadata.json"] = [Fault(status=503), Fault(after_bytes=100)]
    with pytest.raises(ConnectionError):
        source_at(hub, tmp_path).listing()
    assert len(source_at(hub, tmp_path, max_objects=2).listing().entries) == 2


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_members_of_a_large_object_are_read_whatever_the_chunks(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    content: dict[str, Any] = {"a": {"b": [1, {"c": '}\\"{'}]}, "é": None, "n": -12.5, "t": True, "": [], "s": "x" * 50}
    (tmp_path / "one.json").write_text(" " + json.dumps(content, indent=2) + "\n")
    assert dict(json_members(tmp_path / "one.json")) == content
    (tmp_path / "none.json").write_text("{ }")
    assert list(json_members(tmp_path / "none.json")) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected { at character 0, found the end"),
        ("[1]", r"expected \{ at character 0, found \["),
        ('{"a": 1', "expected , or } at character 7, found the end"),
        ('{"a": {"b"', "delimiter"),
        ('{"a": x}', "Expecting value at character 6"),
        ('{"a": 1} 2', "something follows the object at character 9"),
        ("{1: 2}", "has no name"),
    ],
)
def test_text_that_is_no_object_is_refused_with_its_place(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ValueError, match=reason):
        list(json_members(tmp_path / "bad.json"))
