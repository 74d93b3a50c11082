"""Views that others rendered become condition views where they can, and say why where they cannot."""

import tarfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import trimesh

from infra.storage.store import RemoteStore
from render.cameras import Camera, look_at_origin
from render.config import RenderConfig
from render.target_grid import TargetGrid
from render.views import ViewKind, condition_cameras, target_cameras
from tasks.artifacts.manifest import Kind, read_ledger, seal
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.tables import OBJECTS, ObjectFile, folder_of, write_objects
from tasks.artifacts.views import ViewSet
from tasks.config import DownloadConfig
from tasks.given_views.archive import GIVEN, read_given_views
from tasks.given_views.conditions import GivenConditions, given_conditions
from tasks.given_views.frames import AXES, SIZES, UP, GivenFrame
from tasks.normalize import normalize_objects
from tasks.outcome import Done, Rejected
from tasks.render import render_objects
from tasks.sources.fetching import Fetcher
from tasks.sources.procedural.objects import write_object
from tasks.sources.proobjaverse import ProObjaverseSource
from tests.infra.server import WebServer
from tests.tasks.given import add, camera_file, random_cameras, write_archive
from tests.tasks.hub import catalog_config, glb, lay_out_hub
from tests.tasks.test_render_stages import NORMALIZE, RENDER
from tests.tasks.toolbox import make_tools

CONFIG = RENDER.model_copy(update={"given_views": "conditions", "azimuths": 8, "conditions": 3, "resolution": 16})
FRAME = GivenFrame("OpenGL", "Z", 1.0)
UID = "a" * 30


def boot() -> tuple[np.ndarray, np.ndarray]:
    """A shape without any symmetry, placed."""
    boxes = [
        trimesh.creation.box((0.9, 0.3, 0.3)),
        trimesh.creation.box((0.3, 0.5, 0.2)),
        trimesh.creation.box((0.2, 0.2, 0.6)),
    ]
    for box, place in zip(boxes, ((0, 0, 0), (0.3, 0.3, 0), (-0.3, 0, 0.4)), strict=True):
        box.apply_translation(place)
    mesh = trimesh.util.concatenate(boxes)
    assert isinstance(mesh, trimesh.Trimesh)
    low, high = mesh.bounds
    return (np.asarray(mesh.vertices) - (low + high) / 2) / (high - low).max(), np.asarray(mesh.faces, np.int32)


def conditions_of(path: Path, config: RenderConfig = CONFIG) -> GivenConditions:
    return given_conditions(path, boot(), config, np.random.default_rng(0))


@pytest.mark.parametrize(("axes", "up", "size", "in_pixels"), product(AXES, UP, SIZES, [True, False]))
def test_views_in_any_frame_become_conditions_with_their_true_cameras(
    axes: str, up: str, size: float, in_pixels: bool, tmp_path: Path
) -> None:
    cameras = random_cameras(40)
    write_archive(tmp_path / "x.tar", boot(), cameras, GivenFrame(axes, up, size), in_pixels=in_pixels)
    given = conditions_of(tmp_path / "x.tar")
    assert [camera.name for camera in given.cameras] == ["c00", "c01", "c02"]
    for camera, view in zip(given.cameras, given.views, strict=True):
        number = int(np.median(view.rgba[view.rgba[..., 3] == 255][:, 1])) - 10
        truth = cameras[number]
        assert camera.azimuth_deg == pytest.approx(truth.azimuth_deg)
        assert camera.elevation_deg == pytest.approx(truth.elevation_deg)
        assert camera.distance == pytest.approx(truth.distance)
        assert camera.fov_deg == pytest.approx(truth.fov_deg)
        assert view.rgba.shape == (16, 16, 4)
        assert abs((camera.azimuth_deg + 22.5) % 45 - 22.5) <= 45 / 8
        assert -10 <= camera.elevation_deg <= 45
    grid = TargetGrid("x", target_cameras(CONFIG))
    assert grid.columns("x", given.cameras) == [round(camera.azimuth_deg / 45) % 8 for camera in given.cameras]


def test_few_views_that_fit_are_fewer_conditions_and_a_note(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.tar", boot(), random_cameras(6), FRAME)
    given = conditions_of(tmp_path / "x.tar")
    assert 0 < len(given.views) < 3
    assert given.note == f"{len(given.views)} of 6 views can be condition views"


@pytest.mark.parametrize("fault", ["other object", "rolled", "a ball", "no tar", "empty masks"])
def test_views_that_cannot_be_placed_are_left_out_with_the_reason(fault: str, tmp_path: Path) -> None:
    path, ball = tmp_path / "x.tar", trimesh.creation.icosphere(radius=0.5)
    parts = {
        "other object": (boot()[0][:, [1, 2, 0]], boot()[1]),
        "a ball": (ball.vertices, ball.faces.astype(np.int32)),
    }
    if fault == "empty masks":
        parts[fault] = (boot()[0] + 50, boot()[1])
    write_archive(path, parts.get(fault, boot()), random_cameras(8), FRAME, roll_deg=20.0 if fault == "rolled" else 0.0)
    if fault == "no tar":
        path.write_bytes(b"<html>not a tar</html>" * 100)
    part = parts["a ball"] if fault == "a ball" else boot()
    given = given_conditions(path, part, CONFIG, np.random.default_rng(0))
    assert not given.views
    expected = {"no tar": "x.tar is no archive of views", "rolled": "0 of 8 views can be condition views"}
    assert expected.get(fault, "in no known frame, or in several") in given.note


def test_archive_cut_short_gives_the_views_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write_archive(path, boot(), random_cameras(5), FRAME)
    with tarfile.open(path) as archive:
        last = archive.getmember("x/004.rgba.webp")
    path.write_bytes(path.read_bytes()[: last.offset_data + 10])
    assert [view.name for view in read_given_views(path)] == ["000", "001", "002", "003"]


def test_archive_with_broken_cameras_gives_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    bad = [
        b"{",
        b"[]",
        camera_file(np.eye(3), np.eye(3)),
        camera_file(np.eye(4) * 2, np.eye(3)),
        camera_file(np.eye(4) * np.nan, np.eye(3)),
    ]
    with tarfile.open(path, "w") as archive:
        for number, camera in enumerate([*bad, camera_file(look_at_origin(0, 0, 2), np.eye(3))]):
            add(archive, f"x/{number:03}.json", camera)
            add(archive, f"x/{number:03}.rgba.webp", b"RIFF")
        add(archive, "x/007.json", camera_file(np.eye(4), np.eye(3)))
    (view,) = read_given_views(path)
    assert view.name == "005"
    with pytest.raises(ValueError, match="view 005 cannot be decoded"):
        view.rgba()


def test_proobjaverse_lists_what_has_views_here_and_a_file_at_the_hub(tmp_path: Path) -> None:
    known, other = f"{UID}00", f"{UID}01"
    lay_out_hub(tmp_path / "web", {known: glb("known"), other: glb("other")})
    for shard, uid, content in (
        ("1", known, b"views"),
        ("2", known, b"again"),
        ("1", f"{UID}09", b"x"),
        ("1", other, b""),
    ):
        path = tmp_path / "pro" / "renders_random_env" / f"shard-000{shard}" / f"{uid}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with WebServer(tmp_path / "web") as hub:
        tools = make_tools(tmp_path, hub_url=hub.url, store=RemoteStore(attempts=1))
        config = catalog_config(source="proobjaverse", folder=str(tmp_path / "pro"))
        source = ProObjaverseSource(config, 0, tools)
        listing = source.listing()
        assert [entry.uid for entry in listing.entries] == [known]
        reasons = sorted(row.reason.split(": ", 1)[1] for row in listing.turned_away)
        assert reasons[0] == "no object of Objaverse 1.0 has this uid"
        assert reasons[1] == "the archive is empty"
        assert reasons[2].startswith("the object's views lie also in renders_random_env/shard-0001/")
        fetcher = Fetcher(source, DownloadConfig(max_mb=1, max_failed_share=1), tmp_path / "download", hub.url)
        assert isinstance(fetcher.fetch(listing.entries[0]).outcome, Done)
        assert (fetcher.folder(listing.entries[0]) / known / GIVEN).read_bytes() == b"views"
        tight = Fetcher(source, DownloadConfig(max_mb=1e-6, max_failed_share=1), tmp_path / "tight", hub.url)
        assert isinstance(tight.fetch(listing.entries[0]).outcome, Rejected)
    with pytest.raises(ValueError, match=r"holds no renders_random_env/\*/UID\.tar"):
        ProObjaverseSource(catalog_config(source="proobjaverse", folder=str(tmp_path)), 0, tools).listing()


@pytest.mark.blender
def test_rendered_object_has_its_given_views_as_conditions_and_renders_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    place = f"{folder_of('guitar')}/guitar/guitar.glb"
    (folder / place).parent.mkdir(parents=True)
    write_object("guitar", 0, 3, folder / place)
    write_objects(folder / OBJECTS, [ObjectFile("guitar", place, "0" * 64, 1, "train", None, "", "")])
    seal(folder, Kind.OBJECTS, config=NORMALIZE, inputs={}, outcomes=[Done("guitar")])
    normalize_objects(folder, NORMALIZE, tmp_path / "normalized", make_tools(tmp_path))
    from render.blender.objects import triangles
    from tasks.artifacts.placements import read_placements

    mesh = triangles(folder / place, read_placements(tmp_path / "normalized")["guitar"])
    angles = [(3, 10), (92, 30), (140, 10), (180, -40)]  # the last two between columns and below the range
    places = [Camera(f"{at}", at, up, 1.8, 45.0) for at, up in angles]
    write_archive(
        (folder / place).parent / GIVEN,
        (mesh[0].astype(float), mesh[1]),
        places,
        GivenFrame("OpenCV", "Y", 2.0),
        side=128,
    )
    config = CONFIG.model_copy(update={"azimuths": 4, "elevations_deg": (0.0,), "conditions": 3})
    render_objects(folder, tmp_path / "normalized", config, 0, tmp_path / "views", make_tools(tmp_path))
    views = ViewSet.open(tmp_path / "views")
    (row,) = read_ledger(tmp_path / "views")
    assert isinstance(row, Done)
    count = 2
    assert (row.facts["given_views"], row.facts["given_views_note"]) == (2, "2 of 4 views can be condition views")
    assert views.names("guitar") == [f"t{number:02}" for number in range(4)] + [f"c{number:02}" for number in range(3)]
    cameras = views.cameras("guitar", ViewKind.CONDITION)
    assert cameras[count:] == condition_cameras(config, rng_for(0, "render", "guitar"))[count:]
    assert [camera.fov_deg for camera in cameras[:count]] == pytest.approx([45.0] * count)
    reds = [int(views.image("guitar", camera.name)[..., 0].max()) for camera in cameras[:count]]
    assert reds == [200] * count, "the colour in which the given views are drawn"


def test_given_views_have_no_passes() -> None:
    with pytest.raises(ValueError, match=r"passes is \['depth'\], which given views have not"):
        RenderConfig.model_validate(CONFIG.model_dump() | {"passes": ["depth"]})
