"""Brings the predictions for one object into the form of the test set: its cameras, its size, its frame."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh
from render.cameras import Camera
from render.fov import change_fov
from render.images import Rgba
from render.resample import resample
from tasks.artifacts.views import as_cameras
from tasks.peers.cameras import matches
from tasks.peers.layout import Layout, PeerView, Request
from tasks.peers.mesh_files import Surface, find_mesh, joined, read_surfaces
from tasks.peers.own_cameras import own_mask_iou
from tasks.peers.pictures_of_meshes import draw_surfaces

SAME_FOV_DEG = 0.02
"""Fields of view that differ by less count as one: a tenth of a pixel of 256."""
OWN_MASK_IOU = "mask_iou_own"
"""Metric of the views that no true view answers to."""


@dataclass(frozen=True)
class Truth:
    """What an object's predictions are compared with."""

    side: int
    """Pixels along each side of a true view."""
    mesh: Mesh | None
    """None for an object whose true mesh is not published."""

    @cached_property
    def radius(self) -> float | None:
        """Of the sphere about the origin that encloses the mesh."""
        return None if self.mesh is None else float(np.linalg.norm(self.mesh.vertices, axis=1).max())


@dataclass
class Imported:
    """The predictions for one object, as the evaluation reads them."""

    cameras: list[Camera] = field(default_factory=list)
    """Those of the true views that have a prediction."""
    images: list[Rgba] = field(default_factory=list)
    """uint8 (H, H, 4) of the truth's size, one per camera."""
    mesh: Mesh | None = None
    own: dict[str, float] = field(default_factory=dict)
    """Scores of views that no true view answers to."""
    notes: list[str] = field(default_factory=list)
    """What was done to the views, or is not compared: one phrase each."""


def import_views(request: Request, layout: Layout, truth: Truth) -> Imported:
    """Read an object's views and keep those that stand as a true view; compare the masks of the others.

    Raises ValueError when a file is missing or mis-shaped, or when nothing can be compared.
    """
    assert layout.views is not None, f"{layout.name} has no views"
    views = layout.views(request)
    pairs = [] if layout.fits_scale else list(matches([view.camera for view in views], request.scored))
    result = Imported()
    for number, camera in sorted(pairs, key=lambda pair: pair[1].name):
        result.cameras.append(camera)
        result.images.append(_at_size(views[number], camera, truth.side, result.notes))
    if pairs:
        _note_rest(len(views), len(pairs), len(request.scored), result.notes)
    elif truth.mesh is None:
        result.notes.append("nothing compared: no true view stands there, and the object has no true mesh")
    else:
        result.own[OWN_MASK_IOU] = own_mask_iou(views, truth.mesh, fits_scale=layout.fits_scale)
    return result


def _note_rest(read: int, used: int, scored: int, notes: list[str]) -> None:
    if used < read:
        notes.append(f"{read - used} of {read} views stand where the test set scores none")
    if used < scored:
        notes.append(f"{used} of {scored} scored views are there")


def _at_size(view: PeerView, camera: Camera, side: int, notes: list[str]) -> Rgba:
    """Bring a view to the field of view and size of the true one: down by area averages of premultiplied colours."""
    assert view.camera.fov_deg is not None, "only pinhole cameras stand as a true one"
    is_same = abs(view.camera.fov_deg - camera.fov_deg) < SAME_FOV_DEG
    size = len(view.rgba)
    if not is_same:
        notes.append(f"field of view changed from {view.camera.fov_deg:.2f} to {camera.fov_deg:.2f} deg")
    if size < side:
        notes.append(f"scaled up from {size} to {side} pixels")
    if size > side:
        notes.append(f"scaled down from {size} to {side} pixels")
    if is_same:
        return resample(view.rgba, side)
    return change_fov(view.rgba, view.camera.fov_deg, camera.fov_deg, side)


def import_mesh(request: Request, layout: Layout, truth: Truth, *, draws_views: bool) -> Imported:
    """Read an object's mesh, bring it to the frame of the test set and render it from the scored cameras.

    Raises ValueError when there is no mesh or none that can be read.
    """
    assert layout.frame is not None, f"{layout.name} has no meshes"
    surfaces = read_surfaces(find_mesh(request))
    surfaces = _moved(
        surfaces, layout.frame.to_world(np.concatenate([one.vertices for one in surfaces]), request.given)
    )
    mesh = joined(surfaces)
    result = Imported(mesh=mesh)
    if draws_views and not any(surface.is_coloured for surface in surfaces):
        result.notes.append("no views are rendered: the mesh has no colours")
    elif draws_views:
        result.cameras = list(request.scored)
        result.images = draw_surfaces(surfaces, mesh, as_cameras(request.scored, truth.side))
        result.notes.append("views are rendered from the mesh, unlit")
    return result


def _moved(surfaces: list[Surface], vertices: npt.NDArray[np.float64]) -> list[Surface]:
    ends = np.cumsum([len(surface.vertices) for surface in surfaces])[:-1]
    return [surface.moved(part) for surface, part in zip(surfaces, np.split(vertices, ends), strict=True)]
