"""Objects that are stored lying on a side stand upright by their up axis, in whatever reads them."""

from pathlib import Path

import numpy as np
import pytest

from render.axes import UP_AXES, UpAxis, zup_from_file
from render.device import Machine
from render.placement import Placement, normalize_bounds
from tests.render.toys import camera, toy_config, write_axes

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")
FAULTS = Path(__file__).parents[3] / "shared" / "data" / "faults"


def write_pyramid(path: Path, up_axis: UpAxis) -> Path:
    """A pyramid 4 high, 1 wide and 2 deep, whose tip points along `up_axis` of the file."""
    corners = np.array([[-0.5, -1, 0], [0.5, -1, 0], [0.5, 1, 0], [-0.5, 1, 0], [0, 0, 4.0]])
    turned = corners @ zup_from_file(up_axis)[:3, :3]  # rows: the inverse rotation
    lines = ["v {:g} {:g} {:g}".format(*corner) for corner in turned]
    path.write_text("\n".join([*lines, "f 4 3 2 1", "f 1 2 5", "f 2 3 5", "f 3 4 5", "f 4 1 5", ""]))
    return path


def placed(path: Path, up_axis: UpAxis | None) -> Placement:
    report = objects.inspect(path, up_axis)
    return normalize_bounds(report.minimum, report.maximum, 1.0, up_axis)


@pytest.mark.parametrize("up_axis", UP_AXES)
def test_inspect_and_triangles_stand_an_obj_upright(tmp_path: Path, up_axis: UpAxis) -> None:
    path = write_pyramid(tmp_path / "pyramid.obj", up_axis)
    report = objects.inspect(path, up_axis)
    np.testing.assert_allclose([report.minimum, report.maximum], [[-0.5, -1, 0], [0.5, 1, 4]], atol=1e-6)
    vertices, _ = objects.triangles(path, placed(path, up_axis))
    np.testing.assert_allclose(vertices[vertices[:, 2] > 0], [[0, 0, 0.5]], atol=1e-6, err_msg="the tip is up")


def test_inspect_obj_without_an_axis_is_y_up(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "pyramid.obj", "Y")
    assert objects.inspect(path) == objects.inspect(path, "Y")


def test_render_views_gltf_that_is_z_up_is_seen_upright(tmp_path: Path) -> None:
    path = write_axes(tmp_path / "axes.glb")
    (view,) = shots.render_views(
        path, placed(path, "Z"), [camera(0, 0)], toy_config(), uid="axes", seed=0, machine=Machine(1)
    )
    rows, columns = np.nonzero(view.rgba[..., 3] > 200)
    assert view.rgba[rows.min() + 2, 32].argmax() == 2 or view.rgba[rows.min() + 2, 32, 2] > 200, "file +z is up"
    assert view.rgba[30:34, 30:34, 0].mean() > 200, "file +x looks at azimuth 0"
    assert view.rgba[32, columns.max() - 2, 1] > 200, "file +y is world +y: on the right of a camera on +x"


@pytest.mark.skipif(not FAULTS.is_dir(), reason=f"no files at {FAULTS}")
def test_inspect_tower_of_the_faults_is_upright() -> None:
    report = objects.inspect(FAULTS / "zup" / "zup_tower.obj", "Z")
    np.testing.assert_allclose(np.subtract(report.maximum, report.minimum), [1, 1, 4], atol=1e-6)
