"""How far the outline of a mesh lies from the alpha of pictures that are said to show it."""

from collections.abc import Sequence

from scipy.ndimage import distance_transform_edt

from models.reconstruction.raster import rasterise
from models.reconstruction.views import Cameras
from render.images import COVERED, Rgba
from tasks.sources.gso_layout import TrueMesh


def silhouette_offset(mesh: TrueMesh, pictures: Sequence[Rgba], cameras: Cameras) -> float:
    """Return the largest distance in pixels between a mesh's silhouettes and the masks of pictures, over all views.

    It is Hausdorff's: how far a pixel of either lies from the other. Infinite where a silhouette or mask is empty.

    Args:
        mesh: In the world of the cameras.
        pictures: (H, W, 4), one per camera.
        cameras: Poses and fields of view, for images of H = W pixels.
    """
    farthest = 0.0
    for view, picture in enumerate(pictures):
        silhouette = rasterise(mesh.vertices, mesh.faces, cameras, view).face >= 0
        mask = picture[..., 3] > COVERED
        if not silhouette.any() or not mask.any():
            return float("inf")
        apart = (distance_transform_edt(~one)[other].max() for one, other in ((mask, silhouette), (silhouette, mask)))
        farthest = max(farthest, *map(float, apart))
    return farthest
