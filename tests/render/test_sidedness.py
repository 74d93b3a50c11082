"""Single-sided materials: their backs are not seen, and what lines a space shades nothing inside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from render.device import Machine
from render.images import Rgba, coverage
from render.placement import normalize_bounds
from tests.render.gltf_files import BLUE, RED, Gltf, box, inverted, square
from tests.render.toys import OBJECTS, camera, toy_config

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

HULL = OBJECTS.parent / "faults" / "backface" / "toon_outline_hull.glb"
FRONT, BACK = 270, 90
"""Azimuths of cameras that look at the front and at the back of `square`."""


def seen(path: Path, *azimuths_deg: float, **config: Any) -> list[Rgba]:
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    cameras = [camera(azimuth, distance=2.0) for azimuth in azimuths_deg]
    fields = {"samples": 16} | config
    shot = shots.render_views(path, placement, cameras, toy_config(**fields), uid="object", seed=0, machine=Machine(1))
    return [view.rgba for view in shot]


def sheet(**material: Any) -> Gltf:
    gltf = Gltf()
    gltf.node(gltf.mesh(square(), gltf.material(RED, **material) if material else None))
    return gltf


@pytest.mark.parametrize("material", [{"doubleSided": False}, {"name": "plain"}, {}])
def test_single_sided_sheet_is_seen_from_its_front_only(tmp_path: Path, material: dict[str, Any]) -> None:
    front, back = seen(sheet(**material).write(tmp_path / "sheet.gltf"), FRONT, BACK)
    assert coverage(front) > 0.15
    assert coverage(back) == 0


def test_double_sided_sheet_is_seen_from_both_sides(tmp_path: Path) -> None:
    front, back = seen(sheet(doubleSided=True).write(tmp_path / "sheet.gltf"), FRONT, BACK)
    assert coverage(front) == pytest.approx(coverage(back), rel=0.02)
    assert coverage(front) > 0.15


def test_obj_has_no_sides(tmp_path: Path) -> None:
    shape = square()
    path = tmp_path / "sheet.obj"
    path.write_text(trimesh.exchange.obj.export_obj(shape, include_normals=False, include_texture=False))
    front, back = seen(path, FRONT, BACK)
    assert min(coverage(front), coverage(back)) > 0.15


def test_mirrored_nodes_keep_their_front(tmp_path: Path) -> None:
    gltf = sheet(doubleSided=False)
    gltf.document["nodes"][0]["scale"] = [-1, 1, 1]
    front, back = seen(gltf.write(tmp_path / "sheet.gltf"), FRONT, BACK)
    assert coverage(front) > 0.15
    assert coverage(back) == 0


def test_sheets_of_one_material_are_seen_as_deep_as_they_lie(tmp_path: Path) -> None:
    gltf = Gltf()
    single = gltf.material(BLUE, doubleSided=False)
    for layer in range(20):
        gltf.node(gltf.mesh(square().apply_translation((0, 0, 0.01 * layer)), single))
    gltf.node(gltf.mesh(inverted(square().apply_translation((0, 0, 0.3))), gltf.material(RED, doubleSided=False)))
    (image,) = seen(gltf.write(tmp_path / "layers.gltf"), BACK)
    assert image[32, 32, 3] == 255, "the ray passes twenty backs to the red sheet behind"
    assert image[32, 32, 0] > image[32, 32, 2]


def toon(gap: float = 0.03) -> Gltf:
    """A red box in a black inverted hull."""
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1, 0.8, 0.6), gltf.material(RED)))
    hull = inverted(box(1 + 2 * gap, 0.8 + 2 * gap, 0.6 + 2 * gap))
    gltf.node(gltf.mesh(hull, gltf.material((0, 0, 0), doubleSided=False)))
    return gltf


@pytest.mark.parametrize("where", ["made", "given"])
def test_inverted_hull_shows_the_object_lit_inside_an_outline(tmp_path: Path, where: str) -> None:
    if where == "given" and not HULL.is_file():
        pytest.skip(f"no file {HULL}")
    path = toon().write(tmp_path / "toon.gltf") if where == "made" else HULL
    plain = Gltf()
    plain.node(plain.mesh(box(1, 0.8, 0.6), plain.material(RED)))
    angles = (0, 120, 270)
    alone = seen(plain.write(tmp_path / "plain.gltf"), *angles)
    for image, without in zip(seen(path, *angles, resolution=160), alone, strict=True):
        covered = image[image[..., 3] == 255].astype(int)
        is_red = covered[:, 0] > covered[:, 1] + 60
        assert is_red.mean() > 0.7
        assert 0.03 < (covered[:, :3].max(axis=1) < 90).mean() < 0.3
        if where == "made":
            assert covered[is_red].mean(axis=0)[0] == pytest.approx(without[32, 32, 0], abs=20)


def test_closed_solids_look_as_if_they_were_double_sided(tmp_path: Path) -> None:
    config = {"max_bounces": 4, "light": {"sky": 0.9, "ground": 0.1, "suns": "none", "sun": 0.0}}
    images = []
    for sided in (True, False):
        gltf = Gltf()
        material = gltf.material(RED, doubleSided=sided)
        gltf.node(gltf.mesh(box(1, 0.8, 0.6), material))
        gltf.node(gltf.mesh(trimesh.creation.icosphere(subdivisions=2, radius=0.4), material), translation=[0, 0.6, 0])
        images.append(seen(gltf.write(tmp_path / f"{sided}.gltf"), 20, 250, **config))
    np.testing.assert_array_equal(images[0], images[1])


def test_open_solids_keep_their_light_and_shadow(tmp_path: Path) -> None:
    """A box without bottom: from above nothing tells it from a double-sided one."""
    config = {"max_bounces": 4, "light": {"sky": 0.9, "ground": 0.1, "suns": "none", "sun": 0.0}}
    images = []
    for sided in (True, False):
        shape = box(1, 0.8, 0.6)
        open_box = trimesh.Trimesh(shape.vertices, shape.faces[shape.face_normals[:, 1] > -0.9], process=False)
        gltf = Gltf()
        gltf.node(gltf.mesh(open_box, gltf.material(RED, doubleSided=sided)))
        images.append(seen(gltf.write(tmp_path / f"{sided}.gltf"), 20, 250, **config))
    np.testing.assert_array_equal(images[0], images[1])


def test_doubled_faces_are_not_in_each_others_shadow(tmp_path: Path) -> None:
    shape = box(1, 0.8, 0.6)
    both = trimesh.Trimesh(shape.vertices, np.vstack([shape.faces, shape.faces[:, ::-1]]), process=False)
    gltf = Gltf()
    gltf.node(gltf.mesh(both, gltf.material(RED, doubleSided=False)))
    for image in seen(gltf.write(tmp_path / "doubled.gltf"), 0, 270):
        assert image[32, 32, 0] > 150


def test_see_through_solid_shows_no_back_faces(tmp_path: Path) -> None:
    alphas = {}
    for sided in (True, False):
        gltf = Gltf()
        gltf.node(gltf.mesh(box(1), gltf.material(RED, 0.5, alphaMode="BLEND", doubleSided=sided)))
        (image,) = seen(gltf.write(tmp_path / f"{sided}.gltf"), 0, samples=64)
        alphas[sided] = int(image[32, 32, 3])
    assert alphas[True] == pytest.approx(191, abs=12)
    assert alphas[False] == pytest.approx(128, abs=12)


def test_depth_and_normals_are_those_of_what_is_seen(tmp_path: Path) -> None:
    path = toon().write(tmp_path / "toon.gltf")
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    (view,) = shots.render_views(
        path, placement, [camera(0)], toy_config(passes=("depth", "normal")), uid="o", seed=0, machine=Machine(1)
    )
    assert view.depth is not None
    assert view.normal is not None
    assert view.depth[32, 32] == pytest.approx(1.5 - 0.5 / 1.06, abs=1e-3)
    np.testing.assert_allclose(view.normal[32, 32], [1, 0, 0], atol=1e-3)
