"""Floors and metrics on SyncDreamer's own pictures and meshes, where they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from skimage.metrics import structural_similarity

from models.losses.metrics import inner, on_white, psnr, ssim_map
from render.images import decode_png
from tasks.evaluation.mesh_metrics import solid_voxels
from tests.tasks.evaluation.shapes import as_mesh

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "gso-eval"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="SyncDreamer's pictures are not here")


@pytest.fixture(scope="module")
def eight() -> dict[str, torch.Tensor]:
    """Every second view of each object, on white: (8, 3, 256, 256)."""
    objects = sorted(path.parent for path in FOLDER.glob("*/000.png"))
    return {
        path.name: on_white(
            torch.from_numpy(
                np.stack([decode_png((path / f"{view:03d}.png").read_bytes()) for view in range(0, 16, 2)]) / 255
            ).float()
        )
        for path in objects
    }


def test_floors_are_near_those_of_all_thirty_objects(eight: dict[str, torch.Tensor]) -> None:
    """All white 11.46 dB over the 8 views, the given view copied 14.91 dB over the 7 others: means over all thirty."""
    white = [psnr(torch.ones_like(views), views).mean().item() for views in eight.values()]
    copied = [psnr(views[:1].expand(7, -1, -1, -1), views[1:]).mean().item() for views in eight.values()]
    assert np.mean(white) == pytest.approx(11.46, abs=1.5)
    assert np.mean(copied) == pytest.approx(14.91, abs=1.5)


def test_metrics_equal_those_of_other_libraries(eight: dict[str, torch.Tensor]) -> None:
    names = list(eight)[:2]
    one, other = (eight[name][:3] for name in names)
    pairs = [
        (a.permute(1, 2, 0).double().numpy(), b.permute(1, 2, 0).double().numpy())
        for a, b in zip(one, other, strict=True)
    ]
    similarity = [
        structural_similarity(
            a,
            b,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=max(np.ptp(a), np.ptp(b)),
        )
        for a, b in pairs
    ]
    np.testing.assert_allclose(inner(ssim_map(one, other)).numpy(), similarity, atol=1e-5)
    np.testing.assert_allclose(
        psnr(one, other).numpy(), [-10 * np.log10(((a - b) ** 2).mean()) for a, b in pairs], atol=1e-4
    )


@pytest.mark.slow(seconds=1)
def test_solid_points_of_a_scan_are_those_of_its_winding_number() -> None:
    """The solid angle that the mesh fills as seen from a point, by Van Oosterom and Strackee (1983)."""
    shape = trimesh.load_mesh(FOLDER / "teapot" / "model.obj", process=False)
    shape.apply_scale(1 / np.ptp(shape.vertices, axis=0).max())
    shape.apply_translation(-shape.bounds.mean(axis=0))
    inside = solid_voxels(as_mesh(shape), 64)
    cells = np.random.default_rng(0).integers(16, 49, (150, 3))
    corners = np.asarray(shape.triangles)[None] - (-1 + cells / 32)[:, None, None]
    a, b, c = np.moveaxis(corners, 2, 0)
    la, lb, lc = (np.linalg.norm(each, axis=2) for each in (a, b, c))
    volume = np.einsum("pfk,pfk->pf", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(2) * lc + (b * c).sum(2) * la + (c * a).sum(2) * lb
    winding = np.arctan2(volume, below).sum(axis=1) / (2 * np.pi)
    found = inside[tuple(cells.T)]
    assert 20 < found.sum() < 100
    assert (found == (np.abs(winding) > 0.5)).mean() > 0.97, "the scan has holes"
