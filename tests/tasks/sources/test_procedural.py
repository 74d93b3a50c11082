import hashlib
import io
import json
import os
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from tasks.artifacts.randomness import rng_for
from tasks.sources.procedural.objects import (
    FAMILIES,
    ROUND,
    build,
    describe,
    family_of,
    object_indices,
    object_uid,
    score_object,
    write_object,
)
from tasks.sources.procedural.parts import glb_of
from tasks.sources.procedural.shape import shaded
from tasks.sources.procedural.solids import ball, box, cylinder, lathe, prism, ring, tube, vessel

SEED = 3
REPOSITORY = Path(__file__).parents[3]


@cache
def built(family: str) -> trimesh.Scene:
    return build(family, rng_for(SEED, "test", family))


@cache
def glb(family: str) -> bytes:
    return glb_of(built(family))


@cache
def loaded(family: str) -> trimesh.Scene:
    return trimesh.load_scene(io.BytesIO(glb(family)), file_type="glb")


def header(content: bytes) -> dict[str, Any]:
    length = struct.unpack("<I", content[12:16])[0]
    description: dict[str, Any] = json.loads(content[20 : 20 + length])
    return description


def pictures(family: str) -> list[Image.Image]:
    found = (mesh.visual.material.baseColorTexture for mesh in loaded(family).geometry.values())
    return [picture for picture in found if picture is not None]


@pytest.mark.slow(seconds=1)
def test_write_object_on_two_processors_gives_equal_bytes(tmp_path: Path) -> None:
    """The other process multiplies matrices and takes sines as the oldest processors do."""
    oldest = os.environ | {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"}
    code = "import sys; from pathlib import Path; from tasks.sources.procedural.objects import write_object\n"
    code += f"for f in ('mug', 'books', 'guitar'): write_object(f, {SEED}, 5, Path(sys.argv[1]) / f)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY, env=oldest, check=True, timeout=600)
    for family in ("mug", "books", "guitar"):
        write_object(family, SEED, 5, tmp_path / "here.glb")
        digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in (family, "here.glb")}
        assert len(digests) == 1


@pytest.mark.parametrize("change", [(SEED + 1, 5), (SEED, 6)])
def test_write_object_with_another_seed_or_index_differs(tmp_path: Path, change: tuple[int, int]) -> None:
    write_object("mug", SEED, 5, tmp_path / "a.glb")
    write_object("mug", *change, tmp_path / "b.glb")
    assert (tmp_path / "a.glb").read_bytes() != (tmp_path / "b.glb").read_bytes()


def test_object_uid_over_one_round_names_every_family() -> None:
    uids = [object_uid(index) for index in object_indices(ROUND)]
    assert [uid.rsplit("-", 1)[0] for uid in uids] == list(FAMILIES)
    assert object_uid(ROUND) == "mug-0023"
    assert len({object_uid(index) for index in object_indices(500)}) == len(object_indices(500))


def test_object_indices_leave_out_the_empty_places_of_the_round() -> None:
    assert object_indices(9) == [0, 1, 2, 3, 6, 8]
    assert object_indices(ROUND + 2)[-2:] == [ROUND, ROUND + 1]


def test_build_of_unknown_family_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"no procedural family 'spoon'.*mug"):
        build("spoon", rng_for(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_family_after_reload_is_finite_and_closed_with_parts_and_materials(family: str) -> None:
    meshes = list(loaded(family).geometry.values())
    assert len(meshes) >= 3
    assert len({mesh.visual.material.name for mesh in meshes}) >= 2
    for mesh in meshes:
        assert np.isfinite(mesh.vertices).all()
        bare = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        bare.merge_vertices(merge_tex=True, merge_norm=True)
        assert bare.is_watertight
        assert bare.volume > 0, "faces look inwards"


@pytest.mark.parametrize("family", FAMILIES)
def test_family_after_reload_has_pictures_and_texture_coordinates_inside_them(family: str) -> None:
    assert pictures(family)
    for mesh in loaded(family).geometry.values():
        assert mesh.visual.uv.min() >= -1e-6
        assert mesh.visual.uv.max() <= 1 + 1e-6
    assert any(np.asarray(picture).reshape(-1, 3).std(axis=0).max() > 10 for picture in pictures(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_family_file_is_small_and_carries_normals_but_no_date(family: str) -> None:
    assert len(glb(family)) < 1_000_000
    assert sum(len(mesh.faces) for mesh in loaded(family).geometry.values()) < 30_000
    description = header(glb(family))
    assert set(description["asset"]) == {"version", "generator"}
    assert all("NORMAL" in p["attributes"] for mesh in description["meshes"] for p in mesh["primitives"])


@pytest.mark.parametrize("family", FAMILIES)
def test_family_in_file_stands_upright_on_y_zero(family: str) -> None:
    low, high = loaded(family).bounds
    assert low[1] == pytest.approx(0, abs=1e-5)
    x, y, z = built(family).extents
    assert (high - low) == pytest.approx([x, z, y], abs=1e-4)
    assert max(high - low) / min(high - low) < 12


@pytest.mark.parametrize("family", ["rocket", "guitar", "robot", "snowman", "vase"])
def test_tall_family_in_file_is_highest_along_y(family: str) -> None:
    assert int(np.argmax(loaded(family).extents)) == 1


def test_robot_in_file_shows_its_console_towards_plus_z() -> None:
    robot = loaded("robot")
    names = {name.split("_", 1)[1]: name for name in robot.geometry}
    assert robot.geometry[names["console"]].centroid[2] > robot.geometry[names["tank"]].centroid[2]


@pytest.mark.slow(seconds=4)
@pytest.mark.nightly
def test_scores_of_210_objects_pass_five_for_about_three_in_four() -> None:
    scores = np.array([score_object(family_of(index), 0, index) for index in object_indices(400)])
    assert ((scores >= 1) & (scores <= 10)).all()
    assert 0.65 <= (scores >= 5).mean() <= 0.80
    assert scores.std() > 0.5


def test_score_object_is_a_function_of_its_arguments() -> None:
    assert score_object("mug", 0, 7) == score_object("mug", 0, 7)
    assert score_object("mug", 0, 7) != score_object("mug", 1, 7)


def test_describe_names_a_colour_and_the_family() -> None:
    words = describe("fruit_bowl", 0, 3).split()
    assert words[-2:] == ["fruit", "bowl"]
    assert len(words) >= 3


SOLIDS = {
    "lathe": (lathe([(0, 0), (1, 0), (1, 1), (0, 1)], 90), np.pi),
    "cylinder": (cylinder(1.0, 2.0, segments=90), 2 * np.pi),
    "ball": (ball(1.0, segments=90), 4 / 3 * np.pi),
    "ring": (ring(1.0, 0.2, segments=90), 2 * np.pi**2 * 0.04),
    "tube": (tube([(0, 0, 0), (0, 0, 1), (0, 0, 2)], 1.0, segments=90), 2 * np.pi),
    "prism": (prism([(-1, -1), (1, -1), (1, 1), (-1, 1)], 0.5), 2.0),
    "box": (box(1.0, 2.0, 3.0, 0.001), 6.0),
    "vessel": (vessel([(1, 0), (1, 1)], 0.1, 90), np.pi * (1 - 0.81 * 0.9)),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_solid_has_the_volume_of_its_formula(name: str) -> None:
    shape, volume = SOLIDS[name]
    mesh = trimesh.Trimesh(shape.vertices, shape.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(volume, rel=0.06)


def test_shaded_box_without_rounding_keeps_flat_sides() -> None:
    outline = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    _, normals = shaded(prism(outline, 1.0))
    assert np.abs(normals).max(axis=1) == pytest.approx(1.0)


def test_shaded_ball_normals_point_away_from_its_centre() -> None:
    shape, normals = shaded(ball(1.0))
    assert (np.einsum("ij,ij->i", shape.vertices, normals) > 0.98).all()


def test_lathe_texture_middle_faces_the_front() -> None:
    shape = cylinder(1.0, 1.0, segments=40)
    front = shape.vertices[np.isclose(shape.uv[:, 0], 0.5) & (np.hypot(*shape.vertices[:, :2].T) > 0.5)]
    assert front[:, 1] == pytest.approx(-1.0)
