"""Files that users of other programs reported, made small: each is seen as its viewers show it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from render.errors import Unrenderable
from render.images import coverage
from tests.render.gltf_files import BLUE, RED, Gltf, box, square
from tests.render.test_gltf_import import inspect, middle, sizes
from tests.render.test_sidedness import BACK, FRONT, seen

pytestmark = pytest.mark.blender


@pytest.mark.parametrize(
    ("mode", "indices"),
    [(4, [0, 1, 2, 0, 2, 3]), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (4, None)],
    ids=["triangles", "strip", "fan", "without indices"],
)
def test_each_way_to_write_triangles_has_its_front(tmp_path: Path, mode: int, indices: list[int] | None) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(square(), gltf.material(RED)))
    primitive = gltf.primitive()
    primitive["mode"] = mode
    if indices is None:
        del primitive["indices"]
        corners = square().vertices[square().faces.ravel()]
        primitive["attributes"]["POSITION"] = gltf.accessor(corners)
    else:
        primitive["indices"] = gltf.accessor(np.array(indices, dtype=np.uint16))
    front, back = seen(gltf.write(tmp_path / "square.gltf"), FRONT, BACK)
    assert coverage(front) > 0.15
    assert coverage(back) == 0


@pytest.mark.parametrize("left_over", [[0], [0, 1]])
@pytest.mark.parametrize("indexed", [True, False])
def test_corners_behind_the_last_triangle_do_not_shift_those_of_the_next_part(
    tmp_path: Path, left_over: list[int], indexed: bool
) -> None:
    gltf = Gltf()
    corners = np.append(box(1).faces.ravel(), left_over)
    mesh = gltf.mesh(box(1), gltf.material(BLUE))
    if indexed:
        gltf.primitive()["indices"] = gltf.accessor(corners.astype(np.uint16))
    else:
        gltf.primitive()["attributes"]["POSITION"] = gltf.accessor(box(1).vertices[corners])
        del gltf.primitive()["indices"]
    gltf.mesh(box(1, at=(5, 0, 0)), gltf.material(RED))
    gltf.document["meshes"][mesh]["primitives"] += gltf.document["meshes"].pop()["primitives"]
    gltf.node(mesh)
    report = inspect(gltf, tmp_path)
    assert (sizes(report), report.num_faces) == ([6, 1, 1], 24)


@pytest.mark.parametrize("mode", [4, 5, 6])
@pytest.mark.parametrize("count", [1, 2])
def test_part_without_a_whole_triangle_shows_nothing(tmp_path: Path, mode: int, count: int) -> None:
    """Blender crashes on triangles of one or two corners."""
    gltf = Gltf()
    few = {"attributes": {"POSITION": gltf.accessor(np.full((count, 3), 9.0))}, "mode": mode}
    gltf.node(gltf.add("meshes", {"primitives": [few]}))
    assert inspect(gltf, tmp_path).num_faces == 0
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    gltf.document["meshes"][0]["primitives"] += gltf.document["meshes"][1]["primitives"]
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


def test_rotation_of_length_0_turns_nothing(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1, at=(1, 2, 3)), gltf.material(RED)), rotation=[0, 0, 0, 0])
    assert inspect(gltf, tmp_path).minimum == pytest.approx((0.5, -3.5, 1.5)), "x, -z and y of the file"


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colours_of_vertices_in_whole_numbers_need_not_say_that_they_are_shares(tmp_path: Path, kind: type) -> None:
    largest = np.iinfo(kind).max
    gltf = Gltf()
    colours = gltf.accessor(np.tile(np.array([largest // 2, 0, 0, largest], dtype=kind), (8, 1)))
    gltf.node(gltf.mesh(box(1), gltf.material((1.0, 1.0, 1.0)), COLOR_0=colours))
    plain = middle(gltf, tmp_path)
    gltf.document["accessors"][colours]["normalized"] = True
    assert plain == middle(gltf, tmp_path)
    assert plain[0] < 200


def skinned(shape: trimesh.Trimesh, **node: Any) -> Gltf:
    """A mesh that hangs on one bone of size 1."""
    gltf = Gltf()
    count = len(shape.vertices)
    joints = gltf.accessor(np.zeros((count, 4), dtype=np.uint8))
    weights = gltf.accessor(np.tile(np.array([1, 0, 0, 0], dtype=np.float32), (count, 1)))
    mesh = gltf.mesh(shape, gltf.material(RED), JOINTS_0=joints, WEIGHTS_0=weights)
    bone = gltf.node(name="bone")
    matrices = gltf.accessor(np.eye(4, dtype=np.float32)[None])
    gltf.add("skins", {"joints": [bone], "inverseBindMatrices": matrices})
    gltf.node(mesh, skin=0, **node)
    return gltf


def test_skinned_mesh_stands_by_its_bones_though_its_node_has_scale_0(tmp_path: Path) -> None:
    """KhronosGroup/glTF-Sample-Viewer#609."""
    assert sizes(inspect(skinned(box(1, 2, 3), scale=[0, 0, 0]), tmp_path)) == [1, 2, 3]


def test_hidden_bone_hides_no_skin_and_a_hidden_skin_is_gone(tmp_path: Path) -> None:
    gltf = skinned(box(1, 2, 3))
    gltf.document["nodes"][0]["extensions"] = {"KHR_node_visibility": {"visible": False}}
    assert sizes(inspect(gltf, tmp_path)) == [1, 2, 3]
    gltf.document["nodes"][1]["extensions"] = gltf.document["nodes"][0].pop("extensions")
    gltf.node(gltf.mesh(box(1), gltf.material(BLUE)))
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


@pytest.mark.parametrize("place", ["meshes", "nodes"])
def test_default_weights_of_morph_targets_pose_the_mesh(tmp_path: Path, place: str) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    gltf.primitive()["targets"] = [{"POSITION": gltf.accessor(box(1).vertices * [2.0, 0, 0])}]
    gltf.document[place][0]["weights"] = [0.5]
    assert sizes(inspect(gltf, tmp_path)) == [2, 1, 1]


def test_lines_and_points_beside_faces_do_not_count(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    far = gltf.accessor(np.array([[9.0, 9, 9], [99, 99, float("nan")]]))
    gltf.document["meshes"][0]["primitives"] += [{"attributes": {"POSITION": far}, "mode": mode} for mode in (0, 1, 3)]
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


def test_node_without_size_beside_others_does_no_harm(tmp_path: Path) -> None:
    """KhronosGroup/glTF-Blender-IO#1181: a child of something at scale 0."""
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    child = gltf.node(0, in_scene=False)
    gltf.node(scale=[0, 0, 0], children=[child])
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


@pytest.mark.parametrize("first", [False, True])
def test_sheet_whose_triangles_are_listed_in_both_directions_is_seen_from_both(tmp_path: Path, first: bool) -> None:
    """KhronosGroup/glTF-Blender-IO#1865: Blender keeps one triangle for each three corners."""
    gltf = Gltf()
    shape = square()
    pairs = [shape.faces, shape.faces[:, ::-1]]
    both = trimesh.Trimesh(shape.vertices, np.vstack(pairs[::-1] if first else pairs), process=False)
    gltf.node(gltf.mesh(both, gltf.material(RED, doubleSided=False)))
    for image in seen(gltf.write(tmp_path / "sheet.gltf"), FRONT, BACK):
        assert coverage(image) > 0.15


def test_glass_of_attenuation_distance_0_is_clear(tmp_path: Path) -> None:
    """mrdoob/three.js#24620: three.js wrote 0 for no attenuation, by which the importer divides."""
    gltf = Gltf()
    volume = {"thicknessFactor": 1.0, "attenuationDistance": 0.0}
    glass = {"KHR_materials_transmission": {"transmissionFactor": 1}, "KHR_materials_volume": volume}
    gltf.node(gltf.mesh(box(1), gltf.material((1.0, 1.0, 1.0), extensions=glass)))
    gltf.use("KHR_materials_transmission", "KHR_materials_volume")
    (image,) = seen(gltf.write(tmp_path / "glass.gltf"), 0, max_bounces=8)
    assert image[32, 32].min() > 150


@pytest.mark.parametrize("sided", [True, False])
def test_mirrored_ball_with_normals_is_lit_from_outside(tmp_path: Path, sided: bool) -> None:
    """BabylonJS/Babylon-Lite#428, KhronosGroup/glTF-Sample-Models#273: mirrored double-sided balls were black."""
    gltf = Gltf()
    ball = trimesh.creation.icosphere(subdivisions=2)
    normals = gltf.accessor(np.asarray(ball.vertices))
    gltf.node(gltf.mesh(ball, gltf.material(RED, doubleSided=sided), NORMAL=normals), scale=[-1, -1, -1])
    (image,) = seen(gltf.write(tmp_path / "ball.gltf"), 0)
    assert image[32, 32, 0] > 150


def test_reference_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), 7))
    with pytest.raises(
        Unrenderable, match="number 0 of meshes refers to number 7 of materials, of which the file has 0"
    ):
        inspect(gltf, tmp_path)
