import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.cameras import Camera, look_at_origin, project

azimuths = st.floats(-720, 720)
elevations = st.floats(-89, 89)
distances = st.floats(0.1, 100)
cameras = st.builds(Camera, st.just("t00"), azimuths, elevations, distances, st.floats(5, 150))


@given(azimuths, elevations, distances)
def test_look_at_origin_any_angle_is_a_rotation_that_faces_the_origin(
    azimuth: float, elevation: float, distance: float
) -> None:
    pose = look_at_origin(azimuth, elevation, distance)
    rotation, position = pose[:3, :3], pose[:3, 3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(position - distance * rotation[:, 2], 0, atol=1e-9)
    assert rotation[2, 0] == 0, "the horizon must be level"
    assert rotation[2, 1] > 0, "world up must be up in the picture"


def test_look_at_origin_azimuth_counts_from_x_towards_y() -> None:
    np.testing.assert_allclose(look_at_origin(0, 0, 2)[:3, 3], [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(look_at_origin(90, 0, 2)[:3, 3], [0, 2, 0], atol=1e-12)
    np.testing.assert_allclose(look_at_origin(0, 30, 2)[2, 3], 1)


@pytest.mark.parametrize("elevation", [90, -90, 120])
def test_look_at_origin_pole_is_refused(elevation: float) -> None:
    with pytest.raises(ValueError, match="between -90 and 90"):
        look_at_origin(0, elevation, 1)


@given(cameras)
def test_project_origin_falls_on_the_middle_at_the_cameras_distance(camera: Camera) -> None:
    pixels, depths = project(camera, np.zeros((1, 3)), 64)
    np.testing.assert_allclose(pixels, [[32, 32]], atol=1e-6)
    np.testing.assert_allclose(depths, [camera.distance])


@pytest.mark.slow(seconds=1)
@given(cameras, st.floats(0, 64), st.floats(0, 64), st.floats(0.1, 10))
def test_project_point_on_the_ray_of_a_pixel_returns_to_that_pixel(
    camera: Camera, x: float, y: float, depth: float
) -> None:
    ray = np.linalg.inv(camera.pixel_from_camera(64)) @ [x, y, 1]
    in_world = camera.world_from_camera[:3, :3] @ (ray * depth) + camera.world_from_camera[:3, 3]
    pixels, depths = project(camera, in_world[None], 64)
    np.testing.assert_allclose(pixels, [[x, y]], atol=1e-4)
    np.testing.assert_allclose(depths, [depth], rtol=1e-6)


def test_project_higher_point_has_a_smaller_row_and_the_field_of_view_ends_at_the_border() -> None:
    camera = Camera("t00", 0, 0, 1.0, 60)
    half = np.tan(np.radians(30))
    pixels, _ = project(camera, np.array([[0, 0, half], [0, half, 0]]), 100)
    np.testing.assert_allclose(pixels, [[50, 0], [100, 50]], atol=1e-9)


@given(cameras)
def test_camera_through_json_is_the_same(camera: Camera) -> None:
    assert Camera.from_json(camera.as_json()) == camera
