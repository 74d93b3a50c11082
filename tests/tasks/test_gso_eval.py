"""Stage gso-eval on an object drawn here, stored as SyncDreamer's files are, and on folders with every fault."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from render.views import syncdreamer_cameras
from tasks.artifacts.manifest import read_ledger
from tasks.artifacts.test_set import TEST_SET, compare, pixel_hash
from tasks.artifacts.views import ViewSet
from tasks.config import GsoEvalConfig
from tasks.gso_eval import read_gso_eval
from tasks.outcome import Done, Rejected
from tasks.sources.gso_layout import ANGLES_DEG, MODEL, PICTURES
from tests.tasks.made_run import draw
from tests.tasks.toolbox import make_tools, notes_of

SIDE = 32
SHARED = Path(__file__).parents[3] / "shared" / "data" / "gso-eval"


def shape() -> trimesh.Trimesh:
    """An L with a post, longest side 1, centred: no turn about Z brings it onto itself."""
    boxes = [
        ((1.0, 0.3, 0.3), (0, -0.25, -0.25)),
        ((0.3, 0.8, 0.3), (-0.35, 0, -0.25)),
        ((0.2, 0.2, 0.8), (0.4, -0.3, 0)),
    ]
    made = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(place)) for size, place in boxes]
    mesh = trimesh.util.concatenate(made)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def write_object(folder: Path, pictures: list[np.ndarray], angle_deg: float) -> None:
    """The pictures, and the mesh as it comes: turned by its angle, in centimetres, off the origin."""
    folder.mkdir()
    for name, picture in zip(PICTURES, pictures, strict=True):
        Image.fromarray(picture).save(folder / name)
    mesh = shape()
    mesh.apply_transform(trimesh.transformations.rotation_matrix(np.radians(angle_deg), (0, 0, 1)))
    mesh.apply_scale(14.0)
    mesh.apply_translation((3.0, -2.0, 7.0))
    mesh.export(folder / MODEL)


Spoil = Callable[[Path], object]


def replace(name: str, image: Image.Image) -> Spoil:
    return lambda folder: image.save(folder / name)


def cut(name: str) -> Spoil:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:200])


def remove(*names: str) -> Spoil:
    return lambda folder: list(map(Path.unlink, [folder / name for name in names]))


def write(name: str, text: str) -> Spoil:
    return lambda folder: (folder / name).write_text(text)


FULL = Image.new("RGBA", (SIDE, SIDE), (9, 9, 9, 255))
FAULTS: dict[str, tuple[Spoil, str]] = {
    "gap": (remove("003.png", "011.png"), "003.png and 1 more of the pictures 000.png to 015.png are missing"),
    "cut": (cut("007.png"), "007.png cannot be read as a picture: "),
    "text": (write("000.png", "no picture"), "000.png cannot be read as a picture: "),
    "large": (replace("002.png", FULL.resize((48, 48))), "002.png has 48 x 48 pixels; gso_eval.resolution is 32"),
    "oblong": (replace("015.png", FULL.resize((32, 24))), "015.png has 32 x 24 pixels; gso_eval.resolution is 32"),
    "rgb": (replace("001.png", FULL.convert("RGB")), "001.png is RGB; the pictures are RGBA"),
    "opaque": (replace("004.png", FULL), "004.png is opaque everywhere"),
    "empty": (replace("005.png", Image.new("RGBA", (SIDE, SIDE))), "005.png is transparent everywhere"),
}
UNMESHED: dict[str, tuple[Spoil, str]] = {
    "backpack": (remove(MODEL), "no scores of meshes, since there is no model.obj"),
    "broken": (write(MODEL, "v 1 2 3\nf 1 2 9\n"), "no scores of meshes, since model.obj cannot be read: "),
    "flat": (write(MODEL, ""), "no scores of meshes, since model.obj "),
    "turned": (lambda _: None, "turned by -0 degrees lies up to"),
}


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [draw(shape(), camera, SIDE) for camera in syncdreamer_cameras()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """A folder with two good objects and one for each fault, read once."""
    folder = tmp_path_factory.mktemp("gso")
    source = folder / "source"
    source.mkdir()
    write_object(source / "sofa", pictures, ANGLES_DEG["sofa"])
    write_object(source / "my own", pictures, 90.0)
    (source / "my own" / "016.png").write_bytes(b"")
    for name, (spoil, _) in {**FAULTS, **UNMESHED}.items():
        write_object(source / name, pictures, 0.0 if name in FAULTS else 71.0)
        spoil(source / name)
    (source / ".hidden").mkdir()
    (source / "README.md").touch()
    read(source, folder / "out", {"my_own": 90.0})
    return folder


def read(source: Path, out: Path, angles: dict[str, float] | None = None) -> list[str]:
    tools = make_tools(out.parent)
    read_gso_eval(GsoEvalConfig(recipe=1, folder=str(source), resolution=SIDE, angles_deg=angles or {}), out, tools)
    return notes_of(tools)


def test_gso_objects_keep_their_pixels_and_their_mesh_lies_in_them(made: Path, pictures: list[np.ndarray]) -> None:
    views = ViewSet.open(made / "out")
    for uid, group in (("sofa", "gso"), ("my_own", "scan")):
        assert views.cameras(uid) == syncdreamer_cameras()
        np.testing.assert_array_equal(views.images(uid, views.names(uid)), np.stack(pictures))
        mesh = trimesh.load_mesh(made / "out" / "meshes" / f"{uid}.ply", process=False)
        np.testing.assert_allclose(mesh.vertices, shape().vertices, atol=1e-6)
        assert views.facts("group")[uid] == group
        assert views.facts("offset_px")[uid] <= 1
    assert views.facts("note")["my_own"] == "016.png is not of the layout and not read"
    assert "sofa" not in views.facts("note")


def test_gso_object_with_a_broken_picture_is_rejected_and_the_rest_goes_on(made: Path) -> None:
    rows = {row.uid: row for row in read_ledger(made / "out")}
    assert rows.keys() == {"sofa", "my_own", *FAULTS, *UNMESHED}
    for uid, (_, sentence) in FAULTS.items():
        row = rows[uid]
        assert isinstance(row, Rejected)
        assert row.reason.startswith(sentence)


def test_gso_object_without_a_fitting_mesh_keeps_its_views_and_says_why(made: Path) -> None:
    views = ViewSet.open(made / "out")
    for uid, (_, sentence) in UNMESHED.items():
        assert len(views.names(uid)) == 16
        assert sentence in views.facts("note")[uid]
        assert not (made / "out" / "meshes" / f"{uid}.ply").exists()


def test_gso_folder_that_holds_nothing_makes_an_empty_set(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    notes = read(tmp_path / "source", tmp_path / "out")
    assert ViewSet.open(tmp_path / "out").uids == []
    assert notes == [
        f"gso-eval: {tmp_path / 'source'} holds no objects, so nothing is compared with SyncDreamer's files"
    ]


def test_gso_folder_that_cannot_be_meant_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is no folder"):
        read(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="holds the pictures of one object; name the folder above it"):
        read(made / "source" / "sofa", tmp_path / "out")
    with pytest.raises(ValueError, match=r"gso_eval\.angles_deg names bicycle, which is no object of"):
        read(made / "source", tmp_path / "out", {"bicycle": 3.0})
    assert not (tmp_path / "out").exists()


def test_test_set_is_the_same_when_files_are_written_again_and_not_when_a_pixel_moves(
    made: Path, tmp_path: Path
) -> None:
    again = tmp_path / "source"
    again.mkdir()
    for name in ("sofa", "my own"):
        shutil.copytree(made / "source" / name, again / name)
        for path in (again / name).glob("0*.png"):
            pixels = np.array(Image.open(path)) if path.name != "016.png" else None
            if pixels is not None:
                pixels[pixels[..., 3] == 0] = (1, 2, 3, 0)
                Image.fromarray(pixels).save(path, compress_level=1)
    read(again, tmp_path / "out", {"my_own": 90.0})
    found = compare(tmp_path / "out", made / "out" / TEST_SET)
    assert (found.equal, found.pixels_differ, found.cameras_differ, found.only_first) == (32, (), (), ())
    assert {name.split("/")[0] for name in found.only_second} == set(UNMESHED)
    pixels = np.array(Image.open(again / "sofa" / "006.png"))
    pixels[16, 16] ^= 1
    Image.fromarray(pixels).save(again / "sofa" / "006.png")
    read(again, tmp_path / "other", {"my_own": 90.0})
    found = compare(tmp_path / "other", tmp_path / "out")
    assert (found.equal, found.pixels_differ, found.is_equal) == (31, ("sofa/r06",), False)


def test_pixel_hash_is_that_of_the_documented_bytes() -> None:
    """SHA-256 of "2x1\\n" and the bytes 1 2 3 255 0 0 0 0, computed apart with sha256sum."""
    image = np.array([[[1, 2, 3, 255], [9, 9, 9, 0]]], np.uint8)
    assert pixel_hash(image) == "78327001a4e0acc5f9c20907969280a37086891be1ce722bfc58fa2bd1479e85"


@pytest.mark.slow(seconds=12)
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared test objects are not here")
def test_every_given_mesh_projects_onto_the_alpha_of_its_pictures_within_a_pixel(tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    read_gso_eval(GsoEvalConfig(recipe=1, folder=str(SHARED), resolution=256, angles_deg={}), tmp_path / "out", tools)
    rows = read_ledger(tmp_path / "out")
    assert {row.uid for row in rows} == {path.name for path in SHARED.iterdir()}
    for row in rows:
        assert isinstance(row, Done)
        if (SHARED / row.uid / MODEL).exists():
            assert row.facts["offset_px"] in (0.0, 1.0)
        else:
            assert row.facts["note"] == "no scores of meshes, since there is no model.obj"
    objects = json.loads((tmp_path / "out" / TEST_SET).read_text())["objects"]
    listed = json.loads((Path(__file__).parents[2] / "docs" / "gso_eval.sha256.json").read_text())
    assert {uid: row["sha256"] for uid, row in objects.items()}.items() >= listed.items()
