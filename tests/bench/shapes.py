"""How far the shapes of different objects are apart, and how far a changed copy is from its object.

`python -m tests.bench.shapes FOLDER [--tested FOLDER]`: FOLDER holds objects that are not copies of each other, as far
as anybody knows; `--tested` holds test objects in SyncDreamer's layout.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import bpy
import numpy as np
import trimesh
from scipy.spatial import cKDTree

from render.blender.meshes import faces_of, mesh_instances, vertices_of
from render.blender.scene import load
from render.errors import Unrenderable
from render.shape import Part, Shape, describe_shape, shape_distance
from render.stdout import captured_stdout
from tasks.sources.folder import find_objects
from tasks.sources.gso_layout import MODEL, find_gso_objects

BOUNDS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.05)
Change = Callable[[trimesh.Trimesh], trimesh.Trimesh]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="objects")
    parser.add_argument("--tested", type=Path, help="test objects, each of which is changed")
    parser.add_argument(
        "--every", type=int, default=45, help="of the objects so many are passed over between two that are changed"
    )
    options = parser.parse_args()
    objects = find_objects(options.folder).objects
    meshes = (
        {}
        if options.tested is None
        else {
            uid: folder / MODEL for uid, folder in find_gso_objects(options.tested).items() if (folder / MODEL).exists()
        }
    )
    known = {uid: shape for uid, path in objects.items() if (shape := shape_in(path)) is not None}
    print_neighbours(known, {uid: shape for uid, path in meshes.items() if (shape := shape_in(path)) is not None})
    print_changes("objects", dict(list(objects.items())[:: options.every]))
    if meshes:
        print_changes("test objects", meshes)


def print_neighbours(known: Mapping[str, Shape], tested: Mapping[str, Shape]) -> None:
    """Print how near the nearest other object is."""
    uids, rows = list(known), np.stack(list(known.values())).astype(np.float64)
    scale = np.sqrt(rows.shape[1])
    tree = cKDTree(rows)
    apart, nearest = (np.asarray(found) for found in tree.query(rows, k=2))
    within = ", ".join(f"{(apart[:, 1] / scale <= bound).sum()} within {bound:g}" for bound in BOUNDS)
    say(
        f"{len(uids)} objects: {within} of another; the median is {np.median(apart[:, 1]) / scale:.4f} from the nearest"
    )
    for row in np.argsort(apart[:, 1]):
        if BOUNDS[0] < apart[row, 1] / scale <= BOUNDS[1]:
            say(f"  {apart[row, 1] / scale:.4f} {uids[row]} {uids[nearest[row, 1]]}")
    for uid, shape in tested.items():
        distance, near = tree.query(shape.astype(np.float64))
        say(f"test object {uid}: {float(distance) / scale:.4f} from {uids[int(near)]}")


def print_changes(name: str, paths: Mapping[str, Path]) -> None:
    """Print how far changed copies are from their objects."""
    found: dict[str, list[float]] = {change: [] for change in CHANGES}
    for path in paths.values():
        mesh = mesh_in(path)
        shape = None if mesh is None else describe_shape([part_of(mesh)])
        if mesh is None or shape is None:
            continue
        for change, made in CHANGES.items():
            copy = describe_shape([part_of(made(mesh.copy()))])
            found[change].append(np.inf if copy is None else shape_distance(shape, copy))
    for change, values in found.items():
        within = ", ".join(f"{np.mean(np.array(values) <= bound):.0%} within {bound:g}" for bound in BOUNDS[1:4])
        say(f"{name}, {len(values)}, {change}: median {np.median(values):.4f}, most {max(values):.4f}, {within}")


def shape_in(path: Path) -> Shape | None:
    """What normalize would find."""
    try:
        with captured_stdout():
            load(path)
            return describe_shape(mesh_instances())
    except Unrenderable:
        return None


def mesh_in(path: Path) -> trimesh.Trimesh | None:
    """The object as one mesh."""
    try:
        with captured_stdout():
            load(path)
            parts = [trimesh.Trimesh(*part, process=False) for part in mesh_instances() if len(part[1])]
    except Unrenderable:
        return None
    joined = trimesh.util.concatenate(parts) if parts else None
    return joined if isinstance(joined, trimesh.Trimesh) else None


def part_of(mesh: trimesh.Trimesh) -> Part:
    """Arrays of a mesh."""
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)


def shuffled(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Vertices, faces and corners in another order, as another program writes them."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(mesh.vertices))
    faces = np.argsort(order)[mesh.faces][rng.permutation(len(mesh.faces))]
    return trimesh.Trimesh(mesh.vertices[order], np.roll(faces, 1, axis=1), process=False)


def rounded(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Coordinates of 12 bits, as compressed files have them."""
    step = mesh.extents.max() / 4096
    return trimesh.Trimesh(np.round(mesh.vertices / step) * step, mesh.faces, process=False)


def noisy(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Each vertex moved by .2 % of the longest side."""
    shift = np.random.default_rng(0).normal(0, 0.002 * mesh.extents.max(), mesh.vertices.shape)
    return trimesh.Trimesh(mesh.vertices + shift, mesh.faces, process=False)


def decimated(share: float) -> Change:
    """So many of the faces left by Blender's collapse of edges."""

    def change(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
        mesh.merge_vertices()
        with captured_stdout():
            data = bpy.data.meshes.new("copy")
            data.from_pydata(mesh.vertices.tolist(), [], mesh.faces.tolist())
            item = bpy.data.objects.new("copy", data)
            bpy.context.scene.collection.objects.link(item)
            item.modifiers.new("fewer", "DECIMATE").ratio = share
            made = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
            made.calc_loop_triangles()
            copy = trimesh.Trimesh(vertices_of(made), faces_of(made), process=False)
            bpy.data.objects.remove(item)
        return copy

    return change


CHANGES: Mapping[str, Change] = {
    "turned, scaled, moved, in another order": lambda mesh: shuffled(
        mesh.apply_transform(trimesh.transformations.euler_matrix(0.3, 1.2, 2.0))
        .apply_scale(7)
        .apply_translation([1, 2, 3])
    ),
    "faces cut into four": lambda mesh: mesh.subdivide(),
    "12 bits": rounded,
    "noise of .2 %": noisy,
    "half of the faces": decimated(0.5),
    "a quarter of the faces": decimated(0.25),
    "a tenth of the faces": decimated(0.1),
}


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
