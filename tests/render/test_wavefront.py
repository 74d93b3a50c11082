"""What OBJ files look like when they are rendered."""

import io
import os
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from PIL import Image
from trimesh.exchange.gltf import export_gltf

from render.device import Machine
from render.errors import Unrenderable
from render.placement import normalize_bounds
from render.report import check_usable
from tests.render.obj.cards import card, half_clear, half_mask, picture, write
from tests.render.obj.test_lookup import FORMS
from tests.render.toys import camera, toy_config

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")
bpy = pytest.importorskip("bpy")

MTL = "newmtl m\nKd 1 1 1\nmap_Kd tex.png\n"
RED, GREEN = (255, 0, 0), (0, 200, 0)


def view(path: Path, missing_texture: Literal["reject", "keep"] = "reject") -> npt.NDArray[np.uint8]:
    """The square from its front, 32 pixels wide."""
    report = objects.inspect(path)
    check_usable(report, max_faces=100, missing_texture=missing_texture, enclosed="keep")
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    config = toy_config(resolution=32)
    (taken,) = shots.render_views(path, placement, [camera()], config, uid="a", seed=0, machine=Machine(1))
    return taken.rgba


def halves(image: npt.NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """A pixel of the upper and one of the lower half of the square."""
    return image[11, 16].tolist(), image[21, 16].tolist()


def is_near(pixel: list[int], colour: tuple[int, ...]) -> bool:
    return bool(np.abs(np.subtract(pixel, colour)).max() < 40)


def test_render_vertex_colours_are_seen_without_and_with_a_material(tmp_path: Path) -> None:
    colours = ("1 0 0", "1 0 0", "0 0.8 0", "0 0.8 0")
    alone = write(tmp_path, {"a.obj": card(colours=colours, material="")})
    plain = write(
        tmp_path, {"b.obj": card(colours=colours, head="mtllib b.mtl"), "b.mtl": "newmtl m\nKd 0.6 0.6 0.6\n"}
    )
    for path in (alone, plain):
        rows = view(path)[10:22, 16].astype(int)
        assert (np.diff(rows[:, 0]) >= 0).all()
        assert (np.diff(rows[:, 1]) <= 0).all()
        assert rows[-1, 0] > 200 > rows[0, 0] + 40


def test_render_vertex_colours_up_to_255_are_the_same_colours(tmp_path: Path) -> None:
    small = write(tmp_path, {"a.obj": card(colours=("1 0.5 0",) * 4, material="")})
    large = write(tmp_path, {"b.obj": card(colours=("255 127.5 0",) * 4, material="")})
    np.testing.assert_allclose(view(small).astype(int), view(large).astype(int), atol=1)


def test_render_vertex_colours_give_way_to_a_texture_and_say_nothing_when_white(tmp_path: Path) -> None:
    picture(tmp_path / "tex.png", GREEN)
    files = {"a.obj": card(head="mtllib a.mtl", colours=("1 0 0",) * 4), "a.mtl": MTL}
    assert is_near(view(write(tmp_path, files))[16, 16].tolist(), (*GREEN, 255))
    files = {"b.obj": card(head="mtllib b.mtl", colours=("1 1 1",) * 4), "b.mtl": "newmtl m\nKd 0 1 0\n"}
    assert is_near(view(write(tmp_path, files))[16, 16].tolist(), (0, 255, 0, 255))


def test_render_vertex_colours_of_one_object_leave_another_of_its_material_alone(tmp_path: Path) -> None:
    second = "o b\n" + "".join(f"v {corner}\n" for corner in ("0 3 1", "0 3 -1", "0 5 -1", "0 5 1"))
    text = "o a\n" + card(head="mtllib a.mtl", colours=("1 0 0",) * 4) + second + "usemtl m\nf 5 6 7 8\n"
    image = view(write(tmp_path, {"a.obj": text, "a.mtl": "newmtl m\nKd 0 1 0\n"}))
    assert is_near(image[9, 16].tolist(), (0, 255, 0, 255))
    assert is_near(image[22, 16].tolist(), (255, 0, 0, 255))


def test_render_colour_that_is_not_a_number_costs_the_others_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.obj": card(colours=("1 0 0", "1 0 0", "nan nan nan", "1 0 0"), material="")})
    red, green, blue, alpha = view(path)[21, 12].tolist()
    assert red > 220
    assert max(green, blue) < 100
    assert alpha == 255


def test_render_colours_of_some_vertices_are_seen_and_the_others_are_white(tmp_path: Path) -> None:
    some = card(colours=("1 0 0", "1 0 0", "", ""), material="")
    upper, lower = halves(view(write(tmp_path, {"a.obj": some})))
    assert min(upper[:3]) > 100
    assert lower[0] > 220 > lower[1] + 60


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_render_grey_mask_cuts_out(tmp_path: Path, mode: str) -> None:
    picture(tmp_path / "tex.png", RED)
    half_mask(tmp_path / "mask.png", mode)
    path = write(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": MTL + "map_d mask.png\n"})
    upper, lower = halves(view(path))
    assert upper[3] == 0
    assert is_near(lower, (*RED, 255))


@pytest.mark.parametrize("more", ["", "map_d tex.png\n"])
def test_render_alpha_of_the_colour_texture_cuts_out(tmp_path: Path, more: str) -> None:
    half_clear(tmp_path / "tex.png", RED)
    upper, lower = halves(view(write(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": MTL + more})))
    assert upper[3] == 0
    assert is_near(lower, (*RED, 255))


@pytest.mark.parametrize(("alpha", "more"), [(0, ""), (255, ""), (255, "map_d tex.png\n")])
def test_render_alpha_that_is_the_same_everywhere_is_none(tmp_path: Path, alpha: int, more: str) -> None:
    picture(tmp_path / "tex.png", (*GREEN, alpha), "RGBA")
    image = view(write(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": MTL + more}))
    assert image[16, 16, 3] == 255


def test_inspect_lost_library_is_named_and_kept_on_request(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.obj": card(head="mtllib gone.mtl")})
    with pytest.raises(Unrenderable, match=r"material library 'gone\.mtl' is missing"):
        view(path)
    assert view(path, "keep")[16, 16, 3] == 255


def test_inspect_texture_that_is_a_pointer_says_how_to_fetch_it(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    path = write(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": MTL, "tex.png": pointer})
    with pytest.raises(Unrenderable, match=r"'tex\.png \(a git-LFS pointer: fetch the file itself \(git lfs pull\)\)'"):
        view(path)


@pytest.mark.parametrize(("kind", "ending"), [("JPEG", "jpg"), ("WEBP", "webp"), ("TIFF", "tif"), ("PNG", "png")])
def test_inspect_image_that_is_cut_off_is_missing(tmp_path: Path, kind: str, ending: str) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format=kind)
    whole: dict[str, str | bytes] = {
        "a.obj": card(head="mtllib a.mtl"),
        "a.mtl": MTL.replace("png", ending),
        f"tex.{ending}": file.getvalue(),
    }
    assert objects.inspect(write(tmp_path, whole)).missing_textures == ()
    cut = whole | {f"tex.{ending}": file.getvalue()[:2000]}
    assert objects.inspect(write(tmp_path, cut)).missing_textures == (f"tex.{ending}",)


def test_inspect_gltf_buffer_that_is_a_pointer_says_how_to_fetch_it(tmp_path: Path) -> None:
    for name, content in export_gltf(trimesh.Scene(trimesh.creation.box())).items():
        pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
        (tmp_path / name).write_bytes(pointer if name.endswith(".bin") else content)
    with pytest.raises(Unrenderable, match=r"^\S+\.bin is a git-LFS pointer: fetch the file itself \(git lfs pull\)"):
        objects.inspect(tmp_path / "model.gltf")


@pytest.mark.parametrize("name", ["gone.png", "..\\x\\gone.png", "C:\\x\\gone.png", '"gone.png"'])
def test_inspect_texture_that_is_gone_is_named_by_its_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    picture(tmp_path / "elsewhere" / "gone.png", RED)
    monkeypatch.chdir(tmp_path / "elsewhere")  # Blender looks there too
    path = write(tmp_path / "here", {"a.obj": card(head="mtllib a.mtl"), "a.mtl": f"newmtl m\nmap_Kd {name}\n"})
    assert objects.inspect(path).missing_textures == ("gone.png",)


@pytest.mark.parametrize("written", FORMS)
def test_inspect_finds_every_texture_that_blenders_importer_finds_alone(tmp_path: Path, written: str) -> None:
    folder = tmp_path / "a" / "b"
    files = {"a.obj": card(head="mtllib a.mtl"), "a.mtl": f"newmtl m\nmap_Kd {written}\n", FORMS[written]: ""}
    path = write(folder, files)
    picture(folder / FORMS[written], GREEN)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.obj_import(filepath=str(path))
    alone = {os.path.normpath(image.filepath.replace("\\", "/")) for image in bpy.data.images if image.size[0]}
    assert objects.inspect(path).missing_textures == ()
    assert alone <= {image.filepath for image in bpy.data.images if image.size[0]}


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_render_other_codes_and_line_ends_look_the_same(tmp_path: Path, code: str, end: str) -> None:
    picture(tmp_path / "tex.png", GREEN)
    files = {"a.obj": card(head="mtllib a.mtl"), "a.mtl": MTL}
    stored = {name: text.replace("\n", end).encode(code) for name, text in files.items()}
    assert is_near(view(write(tmp_path, {**stored}))[16, 16].tolist(), (*GREEN, 255))


def test_render_only_material_is_meant_by_an_object_that_uses_none(tmp_path: Path) -> None:
    picture(tmp_path / "tex.png", GREEN)
    path = write(tmp_path, {"a.obj": card(head="mtllib a.mtl", material=""), "a.mtl": MTL})
    assert is_near(view(path)[16, 16].tolist(), (*GREEN, 255))


SHAPES = {
    "negative indices": ("v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\nv 0 1 1\nf -4 -3 -2 -1\n", 2),
    "concave": ("v 0 0 0\nv 0 0 -4\nv 0 4 -4\nv 0 1 -3\nv 0 4 0\nf 1 2 3 4 5\n", 3),
    "comments": ("v 0 -1 1 # a\nv 0 -1 -1\nv 0 1 -1 #b\nf 1 2 3 # c\n", 1),
    "continued": ("v 0 -1 1\nv 0 -1 \\\n-1\nv 0 1 -1\nf 1 \\\r\n2 3\n", 1),
    "groups": ("v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\nv 0 1 1\ng a b\nf 1 2 3\ng c\ns 1\nf 1 3 4\n", 2),
    "no such material": ("v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\nusemtl none\nf 1 2 3\n", 1),
    "normals that are not numbers": ("v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\nvn nan nan nan\nf 1//1 2//1 3//1\n", 1),
    "many corners": (
        "".join(f"v 0 {np.cos(t):.5f} {np.sin(t):.5f}\n" for t in np.linspace(0, 6.28, 9000))
        + "f "
        + " ".join(f"{index}" for index in range(9000, 0, -1))
        + "\n",
        8998,
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_inspect_shape_has_all_its_faces(tmp_path: Path, name: str) -> None:
    text, num_faces = SHAPES[name]
    report = objects.inspect(write(tmp_path, {"a.obj": text}))
    assert report.num_faces == num_faces
    check_usable(report, max_faces=10_000, missing_texture="reject", enclosed="keep")


@pytest.mark.parametrize("elements", ["l 1 2 3\n", "p 1 2 3\n", ""])
def test_inspect_lines_and_points_alone_are_refused(tmp_path: Path, elements: str) -> None:
    path = write(tmp_path, {"a.obj": "v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\n" + elements})
    with pytest.raises(Unrenderable, match="the file holds only points or lines"):
        view(path)


@pytest.mark.parametrize(
    "text", ["v 0 -1 1\nv 0 -1 -1\nv 0 1 -1\nf 7 8 9\n", "f 1 2 3\nv 0 -1 1\nv 0 -1 -1\nv 0 1 -1\n"]
)
def test_inspect_faces_without_their_vertices_are_refused_as_such(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unrenderable, match="name vertices that are not there"):
        view(write(tmp_path, {"a.obj": text}))


def test_render_names_that_are_not_utf8(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/M\xf6bel")  # noqa: PTH102
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xf6bel"))
    picture(folder / os.fsdecode(b"t\xe9x.png"), GREEN)
    files: dict[str, str | bytes] = {"a.obj": card(head="mtllib a.mtl"), "a.mtl": b"newmtl m\nmap_Kd t\xe9x.png\n"}
    assert is_near(view(write(folder, files))[16, 16].tolist(), (*GREEN, 255))
