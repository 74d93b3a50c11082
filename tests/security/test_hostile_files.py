"""Files of others that say more than they hold: each is refused with a sentence, before memory or time are spent."""

import gzip
import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.data.photo_files import read_photo
from render.errors import Unrenderable
from render.gltf import parse_json, read_document
from render.gltf_limits import check_document
from tasks.artifacts.tables import Entry
from tasks.peers.mesh_files import read_surfaces
from tasks.peers.posed import _zero123_camera
from tasks.sources import gunzip, text_columns
from tasks.sources.archive import unpack
from tasks.sources.objaverse import ObjaverseSource
from tasks.sources.spreadsheet import read_table
from tasks.sources.text_columns import read_text_columns
from tests.infra.server import WebServer
from tests.render.gltf_files import Gltf, box
from tests.tasks.hub import catalog_config, glb
from tests.tasks.toolbox import make_tools

MANY = 10**10


def png_header(side: int) -> bytes:
    """A PNG file that says it has so many rows and columns, and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def cube() -> Gltf:
    made = Gltf()
    made.node(made.mesh(box(1.0)))
    return made


def without_data(made: Gltf) -> None:
    made.document["accessors"][0] = {"componentType": 5126, "count": MANY, "type": "VEC3"}


def beyond_its_data(made: Gltf) -> None:
    made.document["accessors"][0]["count"] = MANY


def sparse(made: Gltf) -> None:
    made.document["accessors"][0]["sparse"] = {"count": MANY}


def fewer_than_none(made: Gltf) -> None:
    made.document["accessors"][0]["count"] = -MANY


@pytest.mark.parametrize("spoil", [fewer_than_none, without_data, beyond_its_data, sparse])
def test_gltf_with_more_elements_than_bytes_is_refused(spoil: object, tmp_path: Path) -> None:
    made = cube()
    spoil(made)  # type: ignore[operator]
    path = made.write(tmp_path / "cube.gltf")
    with pytest.raises(Unrenderable, match=rf"{MANY} elements"):
        check_document(path, read_document(path))
    with pytest.raises(ValueError, match=rf"cannot be read as a mesh .*{MANY} elements"):
        read_surfaces(path)


def test_gltf_of_usual_content_is_not_refused(tmp_path: Path) -> None:
    path = cube().write(tmp_path / "cube.gltf")
    check_document(path, read_document(path))
    assert len(read_surfaces(path)) == 1


@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "folder"])
def test_gltf_that_refers_to_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps({"asset": {"version": "2.0"}, "buffers": [{"byteLength": 3, "uri": name}]}))
    with pytest.raises(Unrenderable, match="which is no file"):
        check_document(path, read_document(path))


def test_json_that_is_nested_too_deeply_is_an_error_of_the_file() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.blender
@pytest.mark.slow
def test_blender_refuses_hostile_objects_without_decoding_them(tmp_path: Path) -> None:
    from render.blender.objects import inspect

    pictured = cube()
    texture = pictured.add("textures", {"source": pictured.image(png_header(40_000), "image/png")})
    surface = {"baseColorTexture": {"index": texture}}
    pictured.primitive()["material"] = pictured.add("materials", {"pbrMetallicRoughness": surface})
    large = cube()
    without_data(large)
    deep = tmp_path / "deep.gltf"
    deep.write_bytes(b'{"asset": {"version": "2.0"}, "extras": ' + b"[" * 200_000 + b"]" * 200_000 + b"}")
    ring = cube()
    ring.document["nodes"] = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    ply = tmp_path / "many.ply"
    ply.write_bytes(
        b"ply\nformat binary_little_endian 1.0\nelement vertex %d\nproperty float x\nproperty float y\n" % MANY
        + b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    scenes = {
        pictured.write(tmp_path / "picture.gltf"): "has 40000 x 40000 pixels, more than",
        large.write(tmp_path / "large.gltf"): "elements without data",
        deep: "nested too deeply",
        ring.write(tmp_path / "ring.gltf"): "refused the file",
        ply: f"cut off: the file has 179 of at least {MANY * 12 + 184} bytes",
    }
    for path, reason in scenes.items():
        with pytest.raises(Unrenderable, match=reason):
            inspect(path)


def test_object_of_a_hub_that_refers_to_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "private.png").write_bytes(b"mine")
    outside = {"asset": {"version": "2.0"}, "images": [{"uri": "../private.png"}]}
    (tmp_path / "hub" / "a.glb").write_bytes(glb(document=outside))
    with WebServer(tmp_path / "hub") as web:
        source = ObjaverseSource(catalog_config(), 0, make_tools(tmp_path, hub_url=web.url))
        with pytest.raises(Unrenderable, match=r"refers to \.\./private.png, which lies outside"):
            source.fetch(Entry("a", "a.glb", None, "", "", "objaverse"), tmp_path / "objects")


def packed(path: Path, kind: int, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name in names:
            archive.writestr(name, os.urandom(2000))
    return path


@pytest.mark.parametrize("names", [("a", "a/b.obj"), ("x" * 300 + "/a.obj",)], ids=["file and folder", "long"])
def test_archive_whose_names_no_folder_can_hold_is_refused_and_leaves_nothing(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    archive = packed(tmp_path / "a.zip", zipfile.ZIP_DEFLATED, *names)
    with pytest.raises(Unrenderable, match=r"cannot be unpacked .* short names"):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archive_of_damaged_content_is_refused_whatever_packed_it(kind: int, tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", kind, "a.obj")
    content = bytearray(archive.read_bytes())
    content[60:200] = bytes(140)
    archive.write_bytes(content)
    with pytest.raises(Unrenderable, match="the archive cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [archive]


def test_gzip_that_holds_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip.gunzip, "__defaults__", (10**6,))
    (tmp_path / "scores.csv").write_bytes(gzip.compress(b"uid,aesthetic_score\n" + b"0" * 10**7))
    with pytest.raises(ValueError, match=r"scores.csv holds more than the 1000000 bytes"):
        read_table(tmp_path / "scores.csv")


@pytest.mark.slow(seconds=2)
def test_parquet_whose_rows_take_more_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"uid": ["a" * 1000] * 100_000}), path, compression="zstd")
    assert path.stat().st_size < 10**5
    assert read_text_columns(path, "scores", ("uid",)).table.num_rows == 100_000
    monkeypatch.setattr(text_columns, "MAX_BYTES", 10**7)
    with pytest.raises(ValueError, match="its 100000 rows take more than 10000000 bytes"):
        read_text_columns(path, "scores", ("uid",))


def test_array_whose_header_says_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros((3, 4)))
    (tmp_path / "000.npy").write_bytes(content.getvalue().replace(b"(3, 4)", b"(3000000000000, 4)"))
    with pytest.raises(ValueError, match="cannot be read as an array"):
        _zero123_camera(tmp_path / "000.npy")


def test_photo_that_is_a_pipe_or_says_too_many_pixels_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="is a device or a pipe"):
        read_photo(tmp_path / "pipe.png")
    (tmp_path / "large.png").write_bytes(png_header(40_000))
    with pytest.raises(ValueError, match="has 40000 x 40000 pixels"):
        read_photo(tmp_path / "large.png")
