"""normalize, render and render-test on real objects at toy size, through Blender."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import trimesh
from PIL import Image

from infra.execution.serial_pool import SerialPool
from infra.execution.worker_log import Job
from render.config import LightConfig, RenderConfig
from render.quality import Quality
from render.views import ViewKind
from tasks.artifacts.manifest import Kind, open_manifest, read_ledger, seal
from tasks.artifacts.tables import OBJECTS, ObjectFile, write_objects
from tasks.artifacts.views import ViewSet
from tasks.commands.export.layouts import export_views
from tasks.commands.export.source import Source
from tasks.config import NormalizeConfig, RenderTestConfig
from tasks.normalize import normalize_objects
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools
from tasks.render import render_objects
from tasks.render_test import render_test_sets
from tasks.sources.procedural.objects import write_object
from tests.render.toys import GATES
from tests.tasks.toolbox import make_tools

pytestmark = pytest.mark.blender

RENDER = RenderConfig(
    recipe=1,
    resolution=32,
    engine="cycles",
    passes=(),
    quality=Quality(samples=1, noise_threshold=0, denoise="none", max_bounces=1),
    azimuths=4,
    elevations_deg=(0.0, 30.0),
    fov_deg=60.0,
    distance=1.5,
    conditions=2,
    condition_elevation_deg=(-10.0, 45.0),
    condition_distance=(1.5, 2.2),
    light=LightConfig(sky=0.6, ground=0.6, suns="studio", sun=1.5),
    gates=GATES,
    objects_per_shard=2,
    max_failed_share=0.5,
)
NORMALIZE = NormalizeConfig(
    recipe=1, longest_side=1.0, max_faces=100_000, missing_texture="reject", enclosed="reject", max_failed_share=0.5
)
TEST = RenderTestConfig(
    recipe=1,
    source="catalog",
    folder="nowhere",
    train_objects=1,
    held_out_objects=1,
    azimuth="continuous",
    conditions=2,
    ring_views=8,
    ring_elevation_deg=30.0,
    ring_fov_deg=49.13,
    ring_distance=1.5,
    ring_resolution=24,
    max_failed_share=0.0,
)


class CountingPool(SerialPool[Outcome]):
    def __init__(self) -> None:
        super().__init__(failed=Failed)
        self.uids: list[str] = []

    def run(self, work: Callable[[Any], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:
        self.uids += [job.uid for job in jobs]
        return super().run(work, jobs)


def write_set(folder: Path, objects: dict[str, tuple[str, int]]) -> Path:
    """A sealed `objects` artifact of procedural objects (uid -> family, index) and one file that is no object."""
    folder.mkdir(parents=True)
    for uid, (family, index) in objects.items():
        write_object(family, 0, index, folder / f"{uid}.glb")
    (folder / "broken.glb").write_bytes(b"glTF but not really")
    rows = []
    for position, path in enumerate(sorted(folder.glob("*.glb"))):
        content = path.read_bytes()
        split: Literal["train", "val"] = "val" if position == 1 else "train"
        digest = hashlib.sha256(content).hexdigest()
        rows.append(ObjectFile(path.stem, path.name, digest, len(content), split, 6.0, path.stem, "CC0-1.0"))
    write_objects(folder / OBJECTS, rows)
    seal(folder, Kind.OBJECTS, config=NORMALIZE, inputs={}, outcomes=[Done(row.uid) for row in rows])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_set(folder / "objects", {"car": ("car", 2), "mug": ("mug", 0)})
    make(folder, make_tools(folder))
    return folder


def make(folder: Path, tools: Tools) -> None:
    for name in ("normalized", "views", "test_views"):
        shutil.rmtree(folder / name, ignore_errors=True)
    normalize_objects(folder / "objects", NORMALIZE, folder / "normalized", tools)
    render_objects(folder / "objects", folder / "normalized", RENDER, 0, folder / "views", tools)
    placed = (folder / "objects", folder / "normalized")
    render_test_sets(*placed, TEST, RENDER, NORMALIZE, 0, folder / "test_views", tools)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_normalize_broken_file_is_rejected_with_its_reason_and_the_rest_is_placed(run: Path) -> None:
    outcomes = {outcome.uid: outcome for outcome in read_ledger(run / "normalized")}
    assert isinstance(outcomes["broken"], Rejected)
    assert outcomes["broken"].reason
    placements = [json.loads(line) for line in (run / "normalized" / "placements.jsonl").read_text().splitlines()]
    assert [row["uid"] for row in placements] == ["car", "mug"]


def test_render_views_are_complete_and_show_something_with_a_clean_background(run: Path) -> None:
    views = ViewSet.open(run / "views")
    assert views.uids == ["car", "mug"]
    for uid in views.uids:
        assert views.names(uid, ViewKind.TARGET) == [f"t{index:02d}" for index in range(8)]
        images = views.images(uid, views.names(uid))
        assert images.shape == (10, 32, 32, 4)
        covered = (images[..., 3] > 127).mean(axis=(1, 2))
        assert covered.min() > 0.02
        assert (images[..., 3] == 0).mean() > 0.3
    assert views.facts("split") == {"car": "val", "mug": "train"}
    assert (run / "views" / "sheets" / "car.png").exists()


def test_render_same_command_again_makes_equal_bytes_and_renders_nothing(run: Path) -> None:
    before = digests(run / "views") | digests(run / "test_views")
    pool = CountingPool()
    make(run, make_tools(run, pool=pool))
    assert pool.uids == []
    assert digests(run / "views") | digests(run / "test_views") == before


def test_render_in_another_place_gives_equal_bytes(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "objects", tmp_path / "objects")
    make(tmp_path, make_tools(tmp_path))
    assert digests(tmp_path / "views") == digests(run / "views")
    assert digests(tmp_path / "test_views") == digests(run / "test_views")


def test_render_more_objects_renders_only_the_new_one(run: Path, tmp_path: Path) -> None:
    for name in ("objects", "normalized", "views", "test_views"):
        shutil.copytree(run / name, tmp_path / name)
    pool = CountingPool()
    shutil.rmtree(tmp_path / "objects")
    write_set(tmp_path / "objects", {"car": ("car", 2), "mug": ("mug", 0), "zebra": ("robot", 11)})
    tools = make_tools(run, pool=pool)
    shutil.rmtree(tmp_path / "normalized")
    shutil.rmtree(tmp_path / "views")
    normalize_objects(tmp_path / "objects", NORMALIZE, tmp_path / "normalized", tools)
    render_objects(tmp_path / "objects", tmp_path / "normalized", RENDER, 0, tmp_path / "views", tools)
    assert pool.uids == ["zebra", "zebra"]
    assert ViewSet.open(tmp_path / "views").uids == ["car", "mug", "zebra"]


def test_stages_that_read_objects_make_anew_only_the_one_whose_file_is_another(run: Path, tmp_path: Path) -> None:
    """The folder of objects keeps its fingerprint, as when they were made again by the same recipe."""
    shutil.copytree(run, tmp_path / "run")
    folder = tmp_path / "run"
    before = digests(folder / "views")
    fingerprint = open_manifest(folder / "objects", Kind.OBJECTS).fingerprint
    shutil.rmtree(folder / "objects")
    write_set(folder / "objects", {"car": ("car", 2), "mug": ("mug", 1)})
    assert open_manifest(folder / "objects", Kind.OBJECTS).fingerprint == fingerprint
    pool = CountingPool()
    make(folder, make_tools(folder, pool=pool))
    assert pool.uids == ["mug"] * 3, "normalize, render and render-test, one time each"
    assert digests(folder / "views") != before


def test_render_with_another_placement_renders_again(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    folder = tmp_path / "run"
    placements = folder / "normalized" / "placements.jsonl"
    rows = [json.loads(line) for line in placements.read_text().splitlines()]
    rows[0]["scale"] *= 0.9
    placements.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.rmtree(folder / "views")
    pool = CountingPool()
    tools = make_tools(folder, pool=pool)
    render_objects(folder / "objects", folder / "normalized", RENDER, 0, folder / "views", tools)
    assert pool.uids == [rows[0]["uid"]]


def test_render_two_equal_files_are_two_objects_also_the_second_time(tmp_path: Path) -> None:
    write_set(tmp_path / "objects", {"mug": ("mug", 0), "twin": ("mug", 0)})
    make(tmp_path, make_tools(tmp_path))
    before = digests(tmp_path / "views")
    assert ViewSet.open(tmp_path / "views").uids == ["mug", "twin"]
    pool = CountingPool()
    make(tmp_path, make_tools(tmp_path, pool=pool))
    assert pool.uids == []
    assert digests(tmp_path / "views") == before


def test_normalize_when_nothing_is_left_stops_with_the_reason(tmp_path: Path) -> None:
    write_set(tmp_path / "objects", {})
    with pytest.raises(RuntimeError, match=r"broken"):
        normalize_objects(tmp_path / "objects", NORMALIZE, tmp_path / "normalized", make_tools(tmp_path))
    assert not (tmp_path / "normalized" / "manifest.json").exists()


def test_render_test_targets_are_aligned_with_the_first_condition(run: Path) -> None:
    views = ViewSet.open(run / "test_views")
    groups = views.facts("group")
    assert groups == {"car": "held_out", "mug": "train"}
    for uid in views.uids:
        first_target, first_condition = (
            views.cameras(uid, ViewKind.TARGET)[0],
            views.cameras(uid, ViewKind.CONDITION)[0],
        )
        turn = (first_target.azimuth_deg - first_condition.azimuth_deg) % 360
        assert min(turn, 360 - turn) < 1e-9
        assert views.images(uid, views.names(uid, ViewKind.RING)).shape == (8, 24, 24, 4)


def test_render_test_mesh_stands_where_the_views_show_it(run: Path) -> None:
    from render.cameras import project

    views = ViewSet.open(run / "test_views")
    for uid in views.uids:
        mesh = trimesh.load(run / "test_views" / "meshes" / f"{uid}.ply", process=False)
        assert isinstance(mesh, trimesh.Trimesh)
        assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1.0, abs=1e-3)
        for camera in views.cameras(uid)[:10:3]:
            pixels, _ = project(camera, np.asarray(mesh.vertices, dtype=np.float64), 32)
            rows, columns = np.nonzero(views.image(uid, camera.name)[..., 3] > 127)
            assert np.abs(pixels[:, 0].min() - columns.min()) < 1.5
            assert np.abs(pixels[:, 1].max() - rows.max() - 1) < 1.5


def test_render_passes_are_kept_read_and_exported(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "views")
    config = RENDER.model_copy(update={"passes": ("depth", "normal")})
    render_objects(folder / "objects", folder / "normalized", config, 0, folder / "views", make_tools(tmp_path))
    views, plain = ViewSet.open(folder / "views"), ViewSet.open(run / "views")
    depth, normal = views.depth("car", "t00"), views.normal("car", "t00")
    assert depth.shape == (32, 32)
    assert 0.7 < depth[depth > 0].min() < depth.max() < 2.4
    np.testing.assert_allclose(np.linalg.norm(normal[depth > 0], axis=-1), 1, atol=1e-5)
    assert (normal[depth > 0] @ views.cameras("car")[0].world_from_camera[:3, 2] > -0.1).all(), (
        "surfaces face the camera"
    )
    np.testing.assert_array_equal(views.image("car", "t00"), plain.image("car", "t00"))
    with pytest.raises(ValueError, match=r"car has no t00.depth.png; render with passes \[depth\]"):
        plain.depth("car", "t00")
    export_views(Source.open(folder / "views", ["car"]), "nerf", tmp_path / "nerf", make_tools(tmp_path).progress)
    exported = tmp_path / "nerf" / "car"
    table = json.loads((exported / "transforms.json").read_text())
    frame = table["frames"][0]
    stored = np.array(Image.open(exported / frame["depth_file_path"])) * table["integer_depth_scale"]
    np.testing.assert_allclose(stored, depth, atol=1e-4)
    assert (exported / frame["normal_file_path"]).exists()


def test_render_more_objects_leaves_the_shards_of_the_others_alone(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(run, folder)
    tools = make_tools(folder)
    config = RENDER.model_copy(update={"objects_per_shard": 1})

    def render(name: str, tools: Tools = tools) -> dict[str, bytes]:
        for made in ("normalized", "views"):
            shutil.rmtree(folder / made, ignore_errors=True)
        normalize_objects(folder / name, NORMALIZE, folder / "normalized", tools)
        render_objects(folder / name, folder / "normalized", config, 0, folder / "views", tools)
        return {path.name: path.read_bytes() for path in (folder / "views").glob("*.tar")}

    before = render("objects")
    write_set(folder / "more", {"car": ("car", 2), "mug": ("mug", 0), "duck": ("duck", 8), "x1": ("books", 9)})
    after = render("more")
    assert len(before) == 2
    assert len(after) == 4
    assert before.items() <= after.items()
    grown = open_manifest(folder / "views", Kind.VIEWS).fingerprint
    assert render("more", make_tools(tmp_path / "elsewhere")) != after, "without a history they lie by uid hash"
    assert open_manifest(folder / "views", Kind.VIEWS).fingerprint != grown, "encode must not take one for the other"


def test_render_test_of_a_folder_has_a_row_for_what_is_no_object(run: Path, tmp_path: Path) -> None:
    write_object("mug", 0, 0, tmp_path / "in" / "Mug" / "model.glb")
    (tmp_path / "in" / "gone.glb").symlink_to("nowhere")
    config = TEST.model_copy(
        update={"source": "folder", "folder": str(tmp_path / "in"), "conditions": 1, "ring_views": 0}
    )
    placed = (run / "objects", run / "normalized")
    render_test_sets(*placed, config, RENDER, NORMALIZE, 0, tmp_path / "out", make_tools(tmp_path))
    rows = {row.uid: row for row in read_ledger(tmp_path / "out")}
    assert isinstance(rows["Mug"], Done)
    assert rows["gone"] == Rejected("gone", "a link to nowhere, which is not there")
