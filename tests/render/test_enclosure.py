"""Scenes in domes and rooms, and faces turned inside out, are turned away; what merely has an inside is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from render.enclosure import Enclosure
from render.errors import Unrenderable
from tests.render.gltf_files import BLUE, RED, Gltf, box, inverted
from tests.render.toys import OBJECTS

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")

FAULTS = OBJECTS.parent / "faults"
BALL = trimesh.creation.icosphere(subdivisions=3, radius=5)
DOUBLE, SINGLE = {"doubleSided": True}, {"doubleSided": False}


def kept(shape: trimesh.Trimesh, chosen: Any) -> trimesh.Trimesh:
    """The faces whose centres satisfy `chosen`, with their vertices."""
    return trimesh.Trimesh(shape.vertices, shape.faces[chosen(shape.triangles_center)], process=False)


HALF = kept(BALL, lambda centres: centres[:, 1] > 0).apply_translation((0, -0.5, 0))
"""A half ball, open below, where the box stands."""


def measured(folder: Path, *parts: tuple[trimesh.Trimesh, dict[str, Any]], alpha: float = 1.0) -> Enclosure:
    """Around a red box of side 1 stand `parts`, blue shapes with the fields of their materials."""
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    for shape, material in parts:
        gltf.node(gltf.mesh(shape, gltf.material(BLUE, alpha, **material)))
    found: Enclosure = objects.inspect(gltf.write(folder / "scene.gltf")).enclosure
    return found


GROUND = (box(9, 0.01, 9, at=(0, -0.6, 0)), SINGLE)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([(inverted(BALL), SINGLE)], "seen from inside"),
        ([(inverted(BALL), SINGLE), GROUND], "seen from inside"),
        ([(inverted(box(6, 4, 6)), SINGLE)], "seen from inside"),
        ([(inverted(HALF), SINGLE), (box(10, 0.01, 10, at=(0, -0.5, 0)), SINGLE)], "seen from inside"),
        ([(inverted(BALL), DOUBLE)], "enclosed"),
        ([(BALL, DOUBLE)], "enclosed"),
        ([(BALL, SINGLE)], "enclosed"),
        ([(HALF, DOUBLE), (box(9.9, 0.01, 9.9, at=(0, -0.5, 0)), SINGLE)], "enclosed"),
        ([(box(6, 4, 6), DOUBLE)], "enclosed"),
        ([(trimesh.creation.cylinder(radius=5, height=8), DOUBLE)], "enclosed"),
    ],
)
def test_scene_in_a_dome_or_room_is_turned_away_with_the_cause(
    tmp_path: Path, parts: list[tuple[trimesh.Trimesh, dict[str, Any]]], reason: str
) -> None:
    with pytest.raises(Unrenderable, match=f"^{reason}: .*normalize.enclosed"):
        measured(tmp_path, *parts).check()


SHADE = kept(trimesh.creation.cone(radius=1.5, height=2), lambda centres: centres[:, 2] > 0.05)


@pytest.mark.parametrize(
    "parts",
    [
        [(SHADE, DOUBLE)],
        [(SHADE, SINGLE)],
        [(kept(box(3), lambda centres: centres[:, 1] < 1.4), DOUBLE)],
        [(inverted(kept(box(3), lambda centres: centres[:, 1] < 1.4)), DOUBLE)],
        [(inverted(HALF.copy().apply_scale((1, -1, 1))), DOUBLE)],
        [(inverted(box(1.06)), SINGLE)],
        [(box(0.5, at=(1, 0, 0)), SINGLE)],
        [(box(9, 0.01, 9, at=(0, -0.6, 0)), DOUBLE)],
        [],
    ],
    ids=[
        "lampshade",
        "single-sided shade",
        "open box",
        "open box, inwards",
        "bowl",
        "outline",
        "pair",
        "ground",
        "alone",
    ],
)
def test_object_that_has_an_inside_is_kept(tmp_path: Path, parts: list[tuple[trimesh.Trimesh, dict[str, Any]]]) -> None:
    measured(tmp_path, *parts).check()


def test_part_at_scale_0_is_hidden_by_nothing(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    gltf.node(gltf.mesh(box(1, at=(5, 0, 0)), gltf.material(BLUE)), scale=[0, 0, 0])
    objects.inspect(gltf.write(tmp_path / "object.gltf")).enclosure.check()


def test_object_in_glass_is_kept(tmp_path: Path) -> None:
    measured(tmp_path, (BALL, DOUBLE | {"alphaMode": "BLEND"}), alpha=0.3).check()


@pytest.mark.parametrize(("sides", "is_kept"), [(SINGLE, False), (DOUBLE, True)])
def test_object_inside_out_is_turned_away_where_its_backs_are_not_seen(
    tmp_path: Path, sides: dict[str, Any], is_kept: bool
) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(inverted(box(1, 2, 1)), gltf.material(RED, **sides)))
    found = objects.inspect(gltf.write(tmp_path / "object.gltf")).enclosure
    if is_kept:
        found.check()
        return
    with pytest.raises(Unrenderable, match=r"seen from inside: \d+% .*inside out"):
        found.check()


@pytest.mark.parametrize("sides", [SINGLE, DOUBLE])
def test_object_wound_against_its_normals_is_turned_away(tmp_path: Path, sides: dict[str, Any]) -> None:
    shape = trimesh.creation.icosphere(subdivisions=2)
    for faces, is_kept in ((shape.faces, True), (shape.faces[:, ::-1], False)):
        gltf = Gltf()
        turned = trimesh.Trimesh(shape.vertices, faces, process=False)
        normals = gltf.accessor(np.asarray(shape.vertices))
        gltf.node(gltf.mesh(turned, gltf.material(RED, **sides), NORMAL=normals), scale=[1, 1, -1])
        found = objects.inspect(gltf.write(tmp_path / "object.gltf")).enclosure
        if is_kept:
            found.check()
            continue
        with pytest.raises(Unrenderable, match="inside out: 100% of the surface is wound against its normals"):
            found.check()


@pytest.mark.skipif(not FAULTS.is_dir(), reason=f"no files at {FAULTS}")
def test_given_object_wound_against_its_normals_is_turned_away() -> None:
    found = objects.inspect(FAULTS / "other" / "wind_flipped_normals_ok.glb").enclosure
    with pytest.raises(Unrenderable, match="wound against its normals"):
        found.check()


def test_enclosure_passes_up_to_half_of_each_measure() -> None:
    Enclosure(0.5, 0.5, "dome", 0.5).check()
    for bad in (Enclosure(0.6, 0, "", 0), Enclosure(0, 0.6, "dome", 0), Enclosure(0, 0, "", 0.6)):
        with pytest.raises(Unrenderable, match="60%"):
            bad.check()
