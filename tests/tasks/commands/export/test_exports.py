"""What holds for every layout: whole or not there, resumed, refused with a sentence, a verb of the command line."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from flows.__main__ import main
from render.views import ViewKind
from tasks.artifacts.views import ViewSet
from tasks.commands.export.layouts import LAYOUTS
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import export, plain_view, seal_objects
from tests.tasks.commands.export.test_syncdreamer import SECOND_ROW, TARGETS


@pytest.fixture
def views(tmp_path: Path) -> Path:
    cameras = [*TARGETS, *SECOND_ROW]
    return seal_objects(tmp_path, {"a": cameras, "b": cameras, "c": cameras})


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.slow(seconds=2)
def test_export_that_broke_off_goes_on_to_the_same_files(
    layout: str, views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.commands.export.batches.OBJECTS_PER_FILE", 1)
    export(Source.open(views), layout, tmp_path / "whole")
    read: list[str] = []
    broken = {("b", "t03")}
    whole = ViewSet.file

    def watched(self: ViewSet, uid: str, view: str) -> Any:
        read.append(uid)
        if (uid, view) in broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, uid, view)

    monkeypatch.setattr(ViewSet, "file", watched)
    with pytest.raises(OSError, match="No space left"):
        export(Source.open(views), layout, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert set(read) == {"a", "b"}
    (tmp_path / "out.part" / ".b.tar.1.part").write_bytes(b"of a process that was killed")
    read.clear()
    broken.clear()
    export(Source.open(views), layout, tmp_path / "out")
    assert set(read) == {"b", "c"}, "what was written is not made again"
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    assert not list(tmp_path.rglob("*.part"))


def test_export_into_a_folder_that_exists_or_is_anothers_part_is_refused(views: Path, tmp_path: Path) -> None:
    export(Source.open(views, ["a"]), "zero123", tmp_path / "out")
    with pytest.raises(ValueError, match=r"out exists; export into another folder, or delete it"):
        export(Source.open(views), "nerf", tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "next.part")
    with pytest.raises(ValueError, match=r"next\.part is no unfinished part of this export"):
        export(Source.open(views), "zero123", tmp_path / "next")
    assert not (tmp_path / "next").exists()


def test_export_unknown_object_kind_and_layout_are_named(views: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no object mug; it has 3, such as a"):
        Source.open(views, ["b", "mug"])
    with pytest.raises(ValueError, match="a has no condition views; leave out --kind"):
        Source.open(views, kind=ViewKind.CONDITION)
    with pytest.raises(ValueError, match=r"has no objects\.parquet; name the folder that the stage download made"):
        Source.open(views, objects=tmp_path)
    with pytest.raises(ValueError, match="layout 'obj' is none of nerf, instantmesh"):
        export(Source.open(views), "obj", tmp_path / "out")


def test_export_keeps_the_order_of_views_made_by_threads(views: Path) -> None:
    source = Source.open(views)
    files = list(source.files("b", source.cameras("b")))
    assert [file.camera for file in files] == [*TARGETS, *SECOND_ROW]
    assert len({file.png for file in files}) == len(files)
    assert files[0].side == len(plain_view(TARGETS[0]).rgba)


def test_export_is_a_verb_of_the_command_line(views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(views), "--layout", "zero123", "--uid", "b", "--kind", "target", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "1 object (b)" in said
    assert "total_view: 32" in said
    assert (tmp_path / "out/b/031.npy").exists()
    assert main(["export", str(views), "--kind", "side", "--out", str(tmp_path / "again")]) == 2
    assert "kind 'side' is none of target, condition, ring" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "again")]) == 2
    assert "manifest.json" in capsys.readouterr().err
