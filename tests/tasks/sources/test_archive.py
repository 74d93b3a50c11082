"""Archives of one object: unpacked where that is safe, refused with the reason elsewhere."""

import errno
import io
import stat
import zipfile
from pathlib import Path

import pytest

from render.errors import Unrenderable
from tasks.config import DownloadConfig
from tasks.outcome import Done, Rejected
from tasks.sources.archive import MAX_FILES, opened, unpack
from tasks.sources.fetching import Fetcher
from tasks.sources.folder import FolderSource
from tests.tasks.hub import catalog_config, glb

OBJ = b"mtllib a.mtl\nv 0 0 0\n"


def pack(path: Path, files: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def refusal(path: Path, tmp_path: Path) -> str:
    with pytest.raises(Unrenderable) as error:
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [child.name for child in tmp_path.iterdir() if child != path] == [], "nothing is half-written"
    return str(error.value)


def test_unpack_writes_the_object_with_what_lies_beside_it(tmp_path: Path) -> None:
    files = {"chair/a.obj": OBJ, "chair/a.mtl": b"", "chair/tex/wood.png": b"1", "__MACOSX/chair/._a.obj": b"x"}
    main = unpack(pack(tmp_path / "chair.zip", files), tmp_path / "out")
    assert main == tmp_path / "out" / "chair" / "a.obj"
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"chair/a.obj", "chair/a.mtl", "chair/tex/wood.png"}


def test_unpack_one_object_in_several_formats_is_the_first_of_the_table(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"chair.fbx": b"1", "gltf/Chair.glb": glb(), "chair.obj": OBJ})
    assert unpack(path, tmp_path / "out").name == "Chair.glb"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.obj": OBJ, "b.obj": OBJ, "c.glb": b""}, "holds 3 objects ('a.obj', 'b.obj', 'c.glb'): unpack it"),
        ({"readme.txt": b""}, "holds no object: none of 1 files is one of .glb"),
        ({"source/model.zip": b"", "wood.png": b""}, "holds another one, 'source/model.zip': unpack it"),
        ({"../a.obj": OBJ}, "'../a.obj' leads out of it"),
        ({"x/../../a.obj": OBJ}, "leads out of it"),
        ({"/etc/a.obj": OBJ}, "'/etc/a.obj' leads out of it"),
        ({"C:/a.obj": OBJ}, "leads out of it"),
        ({"a.obj": bytes(50_000_000)}, "times as large as the archive: a zip bomb"),
        (
            {f"{index}.txt": b"" for index in range(MAX_FILES + 1)},
            f"holds {MAX_FILES + 1} files, more than {MAX_FILES}",
        ),
    ],
    ids=["several", "none", "nested", "parent", "parents", "root", "drive", "bomb", "many"],
)
def test_unpack_refuses_with_the_reason_and_writes_nothing(
    tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    assert reason in refusal(pack(tmp_path / "a.zip", files), tmp_path)


def test_unpack_pointer_says_how_to_fetch_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert refusal(tmp_path / "a.zip", tmp_path).startswith("a git-LFS pointer: fetch the file itself")


def test_unpack_backslashes_that_lead_out_are_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a.obj")
    member.filename = "..\\a.obj"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, OBJ)
    assert "leads out of it" in refusal(tmp_path / "a.zip", tmp_path)


def test_unpack_backslashes_between_folders_are_folders(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a.obj")
    member.filename = "chair\\a.obj"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, OBJ)
    assert unpack(tmp_path / "a.zip", tmp_path / "out") == tmp_path / "out" / "chair" / "a.obj"


def test_unpack_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.obj")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a symbolic link" in refusal(tmp_path / "a.zip", tmp_path)


def test_unpack_password_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.obj": OBJ})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1  # the flag of an encrypted file
    path.write_bytes(content)
    assert "locked by a password" in refusal(path, tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"PK\x03\x04"])
def test_unpack_damaged_archive_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    assert "cannot be unpacked" in refusal(tmp_path / "a.zip", tmp_path)


def test_unpack_content_that_is_cut_or_changed_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.obj": OBJ * 50}, compression=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"v 0 0 0", b"v 9 9 9", 1))
    assert "Bad CRC" in refusal(path, tmp_path)


def test_unpack_size_that_lies_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"a.obj": bytes(1000)})
    content = path.read_bytes()
    path.write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert "cannot be unpacked" in refusal(path, tmp_path)


def test_unpack_above_the_limit_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the limit is 10") as error:
        unpack(pack(tmp_path / "a.zip", {"a.obj": OBJ}), tmp_path / "out", max_bytes=10)
    assert error.value.errno == errno.EFBIG


def test_opened_yields_other_files_as_they_are_and_removes_what_it_unpacked(tmp_path: Path) -> None:
    with opened(tmp_path / "a.glb") as main:
        assert main == tmp_path / "a.glb"
    with opened(pack(tmp_path / "a.zip", {"a.obj": OBJ})) as main:
        assert main.read_bytes() == OBJ
    assert not main.exists()


def test_fetch_archives_of_a_folder_become_objects_or_rows_of_the_ledger(tmp_path: Path) -> None:
    source_folder = tmp_path / "in"
    source_folder.mkdir()
    pack(source_folder / "good.zip", {"x/scene.glb": glb()})
    inner = io.BytesIO()
    inner.write(b"no glb")
    pack(source_folder / "bad_inside.zip", {"scene.glb": inner.getvalue()})
    pack(source_folder / "escape.zip", {"../scene.glb": glb()})
    source = FolderSource(catalog_config(source="folder", folder=str(source_folder)), 0)
    fetcher = Fetcher(source, DownloadConfig(max_mb=1, max_failed_share=0), tmp_path / "work", "http://hub")
    outcomes = {entry.uid: fetcher.fetch(entry).outcome for entry in source.listing().entries}
    good, bad, escape = outcomes["good"], outcomes["bad_inside"], outcomes["escape"]
    assert isinstance(good, Done)
    assert str(good.facts["file"]).endswith("/good/x/scene.glb")
    assert isinstance(bad, Rejected)
    assert "not a GLB file" in bad.reason
    assert isinstance(escape, Rejected)
    assert "leads out of it" in escape.reason
