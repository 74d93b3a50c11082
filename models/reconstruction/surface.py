"""Reconstruction by the method that the configuration names (sec. 5.3)."""

import math

from models.config import ReconstructConfig
from models.reconstruction.hull import enclosing_extent, visual_hull
from models.reconstruction.mesh import Mesh, extract_mesh
from models.reconstruction.sdf_grid import fit_sdf
from models.reconstruction.views import Views


def reconstruct_views(
    views: Views, config: ReconstructConfig, seed: int, device: str, bound: float = math.inf
) -> Mesh | None:
    """Reconstruct a coloured mesh from posed views.

    Args:
        views: Posed images with alpha.
        config: Method, resolution and vote.
        seed: Of the SDF fit.
        device: Where the SDF fit computes, such as "cpu" or "cuda".
        bound: Half the side of a cube around the origin that is known to hold the object; few views alone may enclose
            far more.

    Returns:
        The mesh; None when the views enclose nothing.
    """
    extent = min(enclosing_extent(views, config.vote), bound)
    hull = visual_hull(views, resolution=config.resolution, vote=config.vote, extent=extent)
    if hull.is_empty:
        return None
    if config.method == "hull":
        return extract_mesh(hull, views)
    field, colours = fit_sdf(
        views, hull, resolution=config.resolution, iterations=config.iterations, seed=seed, device=device
    )
    return None if field.is_empty else extract_mesh(field, colours)
