"""The description of a shape survives what files do to one object, and tells objects apart."""

import numpy as np
import pytest
import trimesh

from render.shape import LENGTH, Part, Shape, describe_shape, shape_distance

COPY = 0.01
"""Below this two objects count as one (params.yaml)."""


def part_of(mesh: trimesh.Trimesh) -> Part:
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def bottle(sections: int = 64) -> trimesh.Trimesh:
    line = [[0.0, 0.0], [0.5, 0.0], [0.5, 0.9], [0.2, 1.3], [0.2, 1.7], [0.0, 1.7]]
    return trimesh.creation.revolve(np.array(line), sections=sections)


def described(*meshes: trimesh.Trimesh) -> Shape:
    shape = describe_shape([part_of(mesh) for mesh in meshes])
    assert shape is not None
    assert shape.shape == (LENGTH,)
    return shape


def shuffled(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    rng = np.random.default_rng(1)
    order = rng.permutation(len(mesh.vertices))
    faces = np.argsort(order)[mesh.faces][rng.permutation(len(mesh.faces))]
    return trimesh.Trimesh(mesh.vertices[order], np.roll(faces, 1, axis=1), process=False)


TURN = trimesh.transformations.euler_matrix(0.4, 1.1, -2.0)
QUARTER = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
CHANGES = {
    "a quarter turn": lambda mesh: mesh.apply_transform(QUARTER),
    "any turn": lambda mesh: mesh.apply_transform(TURN),
    "size and place": lambda mesh: mesh.apply_scale(1e-3).apply_translation([4, -5, 6]),
    "order of vertices and faces": shuffled,
    "faces cut into four": lambda mesh: mesh.subdivide(),
    "half of the sections": lambda mesh: bottle(32),  # noqa: ARG005
    "faces turned inside out": lambda mesh: trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_copy_is_nearer_than_the_bound(change: str) -> None:
    assert shape_distance(described(bottle()), described(CHANGES[change](bottle()))) < COPY


def test_other_objects_are_beyond_the_bound() -> None:
    ball, box = trimesh.creation.icosphere(), trimesh.creation.box((1, 2, 3))
    wide = bottle()
    wide.vertices[:, 0] *= 1.15
    shapes = [described(mesh) for mesh in (bottle(), wide, ball, box)]
    apart = [shape_distance(one, other) for i, one in enumerate(shapes) for other in shapes[:i]]
    assert min(apart) > 1.5 * COPY


def test_object_of_several_meshes_is_described_as_one() -> None:
    lid = trimesh.creation.cylinder(0.3, 0.2).apply_translation([0, 0, 1.8])
    both = trimesh.util.concatenate([bottle(), lid])
    assert isinstance(both, trimesh.Trimesh)
    assert shape_distance(described(bottle(), lid), described(both)) == 0
    assert shape_distance(described(bottle()), described(both)) > COPY


@pytest.mark.parametrize(
    "vertices",
    [np.zeros((3, 3)), np.array([[0, 0, 0], [1, 0, 0], [np.nan, 1, 0]]), np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0.0]])],
    ids=["one point", "not finite", "a line"],
)
def test_surface_without_area_has_no_shape(vertices: np.ndarray) -> None:
    assert describe_shape([(vertices.astype(np.float64), np.array([[0, 1, 2]], np.int32))]) is None
    assert describe_shape([]) is None


def test_faces_beyond_one_block_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = described(bottle())
    monkeypatch.setattr("render.shape._BLOCK", 7)
    np.testing.assert_array_equal(whole, described(bottle()))
