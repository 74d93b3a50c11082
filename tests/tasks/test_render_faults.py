"""Whatever goes wrong while rendering: the same command afterwards ends with the bytes of an undisturbed run."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.execution.ray_pool import Limits, RayPool
from render.config import RenderConfig
from tasks.artifacts.manifest import MANIFEST, read_ledger
from tasks.normalize import normalize_objects
from tasks.outcome import Done, Failed, Outcome
from tasks.render import RenderJob, render_objects
from tests.small_disk import small_disk
from tests.tasks import faults
from tests.tasks.test_render_stages import NORMALIZE, RENDER, digests, write_set
from tests.tasks.toolbox import make_tools

pytestmark = [pytest.mark.blender, pytest.mark.slow]
LIMITS = Limits(time_limit=900, recycle_after=100, memory_limit_gb=8)
STRICT = RENDER.model_copy(update={"max_failed_share": 0.0})
OBJECTS = {"car": ("car", 2), "mug": ("mug", 0), "robot": ("robot", 11)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects, placed."""
    folder = tmp_path_factory.mktemp("source")
    write_set(folder / "objects", OBJECTS)
    normalize_objects(folder / "objects", NORMALIZE, folder / "normalized", make_tools(folder))
    return folder


@pytest.fixture(scope="module")
def undisturbed(source: Path) -> dict[str, str]:
    render_objects(source / "objects", source / "normalized", STRICT, 0, source / "views", make_tools(source))
    return digests(source / "views")


@contextmanager
def ray_pool(folder: Path, **limits: Any) -> Iterator[RayPool[Outcome]]:
    with RayPool[Outcome](
        failed=Failed,
        workers=2,
        limits=replace(LIMITS, **limits),
        log_dir=folder / "logs",
    ) as pool:
        yield pool


def render(source: Path, folder: Path, pool: RayPool[Outcome], config: RenderConfig = STRICT) -> dict[str, str]:
    shutil.rmtree(folder / "views", ignore_errors=True)  # as DVC does
    tools = make_tools(folder, pool=pool, threads=2)
    render_objects(source / "objects", source / "normalized", config, 0, folder / "views", tools)
    return digests(folder / "views")


@pytest.mark.parametrize(
    "fault", [faults.abort, pytest.param(faults.be_killed, marks=pytest.mark.nightly)], ids=["abort", "sigkill"]
)
def test_render_worker_that_dies_once_costs_nothing(
    source: Path,
    undisturbed: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[RenderJob], Outcome],
) -> None:
    monkeypatch.setattr("tasks.render.render_object", fault)
    with ray_pool(tmp_path) as pool:
        assert render(source, tmp_path, pool) == undisturbed
    assert list(tmp_path.glob("work/*/fault")), "the fault did happen"


def test_render_object_that_hangs_is_ended_and_made_by_the_next_run(
    source: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.render.render_object", faults.hang)
    with ray_pool(tmp_path, time_limit=40) as pool:
        with pytest.raises(RuntimeError, match=r"mug: took longer than 40 s; raise `time_limit` in the profile"):
            render(source, tmp_path, pool)
        assert not (tmp_path / "views" / MANIFEST).exists()
        assert render(source, tmp_path, pool) == undisturbed
    journal = next(tmp_path.glob("work/*/journal.jsonl")).read_text()
    assert journal.count('"uid": "car"') == journal.count('"uid": "robot"') == 1, "finished objects are not made again"


def test_render_poisoned_object_is_tried_twice_and_the_rest_is_made(
    source: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.render.render_object", faults.always_abort)
    with ray_pool(tmp_path) as pool:
        render(source, tmp_path, pool, RENDER)
        outcomes = {row.uid: row for row in read_ledger(tmp_path / "views")}
        poisoned = outcomes.pop("mug")
        assert isinstance(poisoned, Failed)
        assert poisoned.attempts == 2
        assert "about to die of mug" in poisoned.log
        assert all(isinstance(row, Done) for row in outcomes.values())
        monkeypatch.undo()
        assert render(source, tmp_path, pool) == undisturbed


def test_render_full_disk_is_a_sentence_and_the_next_run_goes_on(
    source: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk") as resize:
        monkeypatch.setenv("TMPDIR", str(tmp_path / "disk"))  # where Blender writes what it renders
        monkeypatch.setattr("tempfile.tempdir", None)
        sentences, made = [], None
        for size_kb in range(40, 1000, 40):
            resize(size_kb)
            shutil.rmtree(tmp_path / "disk" / "views", ignore_errors=True)
            tools = make_tools(tmp_path / "disk")
            try:
                render_objects(source / "objects", source / "normalized", STRICT, 0, tmp_path / "disk/views", tools)
            except (RuntimeError, OSError) as error:
                sentences.append(str(error))
                assert not (tmp_path / "disk" / "views" / MANIFEST).exists()
                assert not list((tmp_path / "disk").rglob("*.part"))
            else:
                made = digests(tmp_path / "disk" / "views")
                break
        assert made == undisturbed
        assert len(sentences) >= 3
        for sentence in sentences:
            assert os.strerror(errno.ENOSPC) in sentence
            assert str(tmp_path / "disk") in sentence, "says where"
