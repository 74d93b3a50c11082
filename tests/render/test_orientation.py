import numpy as np
import pytest
import trimesh

from render.orientation import Orientation, orientation_of
from tests.render.gltf_files import box, inverted, square


def of(shape: trimesh.Trimesh) -> Orientation:
    return orientation_of(np.asarray(shape.vertices, dtype=np.float64), shape.faces.astype(np.int32))


def without_top(shape: trimesh.Trimesh) -> trimesh.Trimesh:
    kept = shape.face_normals[:, 1] < 0.9
    return trimesh.Trimesh(shape.vertices, shape.faces[kept], process=False)


def unwelded(shape: trimesh.Trimesh) -> trimesh.Trimesh:
    """Every face with corners of its own, as glTF stores flat shading."""
    return trimesh.Trimesh(
        shape.vertices[shape.faces].reshape(-1, 3), np.arange(len(shape.faces) * 3).reshape(-1, 3), process=False
    )


BALL = trimesh.creation.icosphere(subdivisions=2)
BALL_AWAY = BALL.copy().apply_translation((50, 20, -90))


@pytest.mark.parametrize("shape", [box(1), unwelded(box(1, 2, 3)), BALL, BALL_AWAY, trimesh.creation.torus(1, 0.3)])
def test_orientation_of_a_solid_is_outwards_and_inverted_inwards(shape: trimesh.Trimesh) -> None:
    assert of(shape).looks_outwards
    assert not of(shape).looks_inwards
    assert of(shape).volume == pytest.approx(shape.volume, rel=1e-6)
    assert of(inverted(shape)).looks_inwards
    assert not of(inverted(shape)).looks_outwards


def test_orientation_of_a_room_without_roof_is_inwards_though_open() -> None:
    room = inverted(without_top(inverted(inverted(box(2)))))
    assert of(room).looks_inwards
    assert not of(room).is_closed


@pytest.mark.parametrize("shape", [square(), inverted(square()), without_top(box(1, 2, 3))])
def test_orientation_of_sheets_and_open_boxes_is_neither_inwards_nor_closed(shape: trimesh.Trimesh) -> None:
    assert not of(shape).looks_inwards
    assert not of(shape).looks_outwards


def test_orientation_of_a_solid_with_one_face_turned_is_not_closed() -> None:
    shape = box(1)
    shape.faces[3] = shape.faces[3, ::-1]
    assert not of(shape).is_closed


def test_orientation_of_faces_without_area_is_a_sheet() -> None:
    points = np.zeros((3, 3))
    assert orientation_of(points, np.array([[0, 1, 2]], dtype=np.int32)).openness == 1
