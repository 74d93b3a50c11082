"""Reconstruction by the method that the configuration names (sec. 5.3)."""

import math

from models.config import ReconstructConfig
from models.reconstruction.hull import enclosing_extent, visual_hull
from models.reconstruction.mesh import Mesh, extract_mesh
from models.reconstruction.sdf_grid import Schedule, fit_sdf
from models.reconstruction.silhouettes import Silhouettes
from models.reconstruction.views import Views
from models.reconstruction.votes import LEAST_VOTE, measured_vote


def reconstruct_views(
    views: Views, config: ReconstructConfig, seed: int, device: str, bound: float = math.inf
) -> Mesh | None:
    """Reconstruct a coloured mesh from posed views.

    Args:
        views: Posed images with alpha, and with normals where `config.normal_weight` is above 0.
        config: Method, quality and vote.
        seed: Of the SDF fit.
        device: Where the SDF fit computes, such as "cpu" or "cuda".
        bound: Half the side of a cube around the origin that is known to hold the object; few views alone may enclose
            far more.

    Returns:
        The mesh; None when the views enclose nothing.

    Raises:
        ValueError: Normals are asked for and the views have none.
    """
    if config.method == "sdf" and config.normal_weight > 0 and views.normals is None:
        raise ValueError(
            f"reconstruct.normal_weight is {config.normal_weight} but the views have no normals; make it 0"
        )
    silhouettes = Silhouettes.of(views)
    if config.vote == "auto":
        vote = measured_vote(views, silhouettes, min(enclosing_extent(silhouettes, LEAST_VOTE), bound))
    else:
        vote = config.vote
    extent = min(enclosing_extent(silhouettes, vote), bound)
    hull = visual_hull(silhouettes, resolution=config.quality.resolution, vote=vote, extent=extent)
    if hull.is_empty or config.method == "hull":
        return None if hull.is_empty else extract_mesh(hull, views)
    schedule = Schedule(config.quality.iterations, config.quality.batch, config.normal_weight)
    field = fit_sdf(views, hull, schedule, seed=seed, device=device)
    return None if field.is_empty else extract_mesh(field, views)
