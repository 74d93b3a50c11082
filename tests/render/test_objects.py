"""Real and awkward files: each is either rendered or turned away with a reason."""

import numpy as np
import pytest

from render.device import Machine
from render.errors import Unrenderable
from render.images import coverage
from render.placement import Placement, normalize_bounds
from render.report import ObjectReport, check_usable
from tests.render.toys import OBJECTS, camera, toy_config

pytestmark = [
    pytest.mark.blender,
    pytest.mark.skipif(not OBJECTS.is_dir(), reason=f"no objects at {OBJECTS}"),
]
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

REFUSED = {
    "awk_empty_nodes": "no faces: the file holds no mesh",
    "awk_empty_scene": "no faces: the file holds no mesh",
    "awk_index_out_of_range": "IndexError",
    "awk_ktx2_barnlamp": "3 textures ('Image_0', 'Image_1', 'Image_3') are missing or of a kind",
    "awk_ktx2_only": "needs the extension KHR_texture_basisu, which Blender's importer does not know",
    "awk_lines_only": "no faces: the file holds only points or lines",
    "awk_meshopt": "needs the extension EXT_meshopt_compression, which Blender's importer does not know",
    "awk_point_cloud_only": "no faces: the file holds only points or lines",
    "awk_zero_bytes": "json error",
    "awk_heavy_mesh": "963712 faces; at most 500000 are allowed",
}
RENDERED = [
    "awk_alpha_blend_test",
    "awk_draco",
    "awk_huge_coords",
    "awk_lights_inside",
    "awk_many_cubes",
    "awk_many_nodes",
    "awk_metallic_sphere_light",
    "awk_negative_nonuniform_scale",
    "awk_texture_8k",
    "awk_tiny",
    "awk_transmission_glass",
    "awk_unlit",
    "awk_vertex_colors",
    "gso_mario_figure",
    "khr_AnimatedMorphSphere",
    "khr_CesiumMan",
    "khr_Duck",
    "khr_Fox",
    "objaverse_0290737f",
]


def checked(name: str) -> tuple[ObjectReport, Placement]:
    report = objects.inspect(OBJECTS / f"{name}.glb")
    check_usable(report, max_faces=500_000, missing_texture="reject", enclosed="keep")
    return report, normalize_bounds(report.minimum, report.maximum, 1.0)


@pytest.mark.parametrize("name", REFUSED)
def test_inspect_unusable_file_is_turned_away_with_its_reason(name: str) -> None:
    with pytest.raises(Unrenderable) as error:
        checked(name)
    assert REFUSED[name] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", RENDERED)
def test_render_views_awkward_file_is_seen_whole_in_the_middle(name: str) -> None:
    report, placement = checked(name)
    config = toy_config(resolution=32, samples=2)
    path = OBJECTS / f"{name}.glb"
    (view,) = shots.render_views(path, placement, [camera(30, 20, 2.2)], config, uid=name, seed=0, machine=Machine(1))
    vertices, faces = objects.triangles(path, placement)
    assert coverage(view.rgba) > config.gates.empty.limit
    assert view.rgba[[0, -1]].any() == view.rgba[:, [0, -1]].any() == False  # noqa: E712  (numpy's False is not False)
    assert len(faces) == report.num_faces
    seen = vertices[np.unique(faces)]
    np.testing.assert_allclose(seen.min(axis=0) + seen.max(axis=0), 0, atol=1e-5)
    assert np.ptp(seen, axis=0).max() == pytest.approx(1, abs=1e-5)


def test_inspect_skinned_figure_is_measured_as_posed_without_bone_shapes() -> None:
    report = objects.inspect(OBJECTS / "khr_CesiumMan.glb")
    assert report.is_skinned
    assert report.num_animations == 1
    assert report.maximum[2] - report.minimum[2] == pytest.approx(1.45, abs=0.02), "not 2.45, the bones' icosphere"
