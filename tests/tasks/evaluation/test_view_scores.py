"""Scores of views: equal to a recomputation with other libraries, ideal where they must be, and told apart."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, structural_similarity

from models.losses.metrics import MAX_PSNR
from render.cameras import Camera
from render.views import ring_cameras
from tasks.artifacts.cases import Case
from tasks.artifacts.views import Image, ViewSet
from tasks.evaluation.view_scores import TrueViews, fitted, score_views, view_sets
from tests.tasks.made_run import draw, shapes
from tests.tasks.small_view_sets import seal_images

SIDE = 32
RING, SPARSE = Case("peer", "ring", 1), Case("peer", "sparse", 1)
CAMERAS = ring_cameras(views=16, elevation_deg=30.0, fov_deg=49.13, distance=1.5)
EIGHT = [camera.name for camera in CAMERAS[::2]]
Change = Callable[[dict[str, Image]], dict[str, Image]]


@pytest.fixture(scope="module")
def images() -> dict[str, Image]:
    """An object without symmetry, with a soft edge; colour under alpha 0 is black."""
    mesh = shapes()["box"]
    mesh.vertices[mesh.vertices[:, 0] > 0] *= [1, 0.3, 0.8]
    return {camera.name: draw(mesh, camera, SIDE) for camera in CAMERAS}


@pytest.fixture(scope="module")
def truth(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> TrueViews:
    return TrueViews.load(opened(images, tmp_path_factory.mktemp("truth")), "a", RING, "cpu")


def opened(images: Mapping[str, Image], folder: Path) -> ViewSet:
    cameras = {camera.name: camera for camera in CAMERAS}
    return ViewSet.open(seal_images(folder, {"a": [(cameras[name], image) for name, image in images.items()]}))


def scores_of(images: Mapping[str, Image], truth: TrueViews, folder: Path) -> dict[str, float]:
    return score_views(opened(images, folder), truth, "a", RING, {})


def white(image: Image) -> np.ndarray:
    rgba = image.astype(np.float64) / 255
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]


def noisy(images: dict[str, Image]) -> dict[str, Image]:
    rng = np.random.default_rng(0)
    return {
        name: np.clip(image + rng.normal(0, 30, image.shape), 0, 255).astype(np.uint8) for name, image in images.items()
    }


def recomputed(predicted: Mapping[str, Image], true: Mapping[str, Image], names: list[str]) -> dict[str, float]:
    """From the definitions, with NumPy and scikit-image alone."""
    pairs = [(white(predicted[name]), white(true[name])) for name in names]
    similarity = [
        structural_similarity(
            one,
            other,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=max(np.ptp(one), np.ptp(other)),
        )
        for one, other in pairs
    ]
    masks = [(predicted[name][..., 3] > 127, true[name][..., 3] > 127) for name in names]
    return {
        "psnr": float(np.mean([-10 * np.log10(mean_squared_error(one, other)) for one, other in pairs])),
        "ssim_inner": float(np.mean(similarity)),
        "mask_iou": float(np.mean([(one & other).sum() / (one | other).sum() for one, other in masks])),
    }


def test_scores_equal_a_recomputation_over_the_views_that_their_names_say(
    images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    predicted = noisy(images)
    scores = scores_of(predicted, truth, tmp_path)
    sets = {"": EIGHT, "_other": EIGHT[1:], "_16": list(images), "_16_other": list(images)[1:]}
    for suffix, names in sets.items():
        for metric, expected in recomputed(predicted, images, names).items():
            if suffix and metric != "psnr":
                continue
            assert scores[f"{metric}{suffix}"] == pytest.approx(expected, abs=1e-4), f"{metric}{suffix}"
    blank = {name: np.zeros_like(image) for name, image in images.items()}
    copied = dict.fromkeys(images, images["r00"])
    assert scores["psnr_white"] == pytest.approx(recomputed(blank, images, EIGHT)["psnr"], abs=1e-4)
    assert scores["psnr_copy"] == pytest.approx(recomputed(copied, images, EIGHT[1:])["psnr"], abs=1e-4)
    assert scores["psnr_over_copy"] == pytest.approx(scores["psnr_other"] - scores["psnr_copy"])
    assert scores["views"] == 8


def test_copied_given_view_is_told_from_a_good_model_by_the_other_views_alone(
    images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    scores = scores_of(dict.fromkeys(EIGHT, images["r00"]), truth, tmp_path)
    assert scores["psnr"] > scores["psnr_copy"] + 8, "the paper's way counts the given view, here at the cap"
    assert scores["psnr_other"] == pytest.approx(scores["psnr_copy"])
    assert scores["psnr_over_copy"] == pytest.approx(0, abs=1e-6)
    assert "psnr_16" not in scores


def test_perfect_views_have_ideal_scores_whatever_colour_lies_under_alpha_zero(
    images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    painted = {name: image.copy() for name, image in images.items()}
    for image in painted.values():
        image[image[..., 3] == 0, :3] = [255, 0, 128]
    scores = scores_of(painted, truth, tmp_path)
    for suffix in ("", "_other", "_16", "_16_other"):
        assert scores[f"psnr{suffix}"] == MAX_PSNR
        assert scores[f"ssim{suffix}"] == pytest.approx(1, abs=1e-6)
    assert scores["ssim_inner"] == pytest.approx(1, abs=1e-6)
    assert scores["mask_iou"] == 1


def turned(images: dict[str, Image]) -> dict[str, Image]:
    """The views in the other order around the object."""
    names = list(images)
    return {name: images[names[-index % len(names)]] for index, name in enumerate(names)}


def zoomed(images: dict[str, Image]) -> dict[str, Image]:
    """Views of the model's 60 degrees taken for those of 49.13."""
    mesh = shapes()["box"]
    mesh.vertices[mesh.vertices[:, 0] > 0] *= [1, 0.3, 0.8]
    wide = (Camera(camera.name, camera.azimuth_deg, camera.elevation_deg, 1.5, 60.0) for camera in CAMERAS)
    return {camera.name: draw(mesh, camera, SIDE) for camera in wide if camera.name in images}


FAULTS: dict[str, Change] = {
    "mirrored": lambda images: {name: image[:, ::-1] for name, image in images.items()},
    "rotated": lambda images: {name: np.rot90(image) for name, image in images.items()},
    "shifted by a pixel": lambda images: {name: np.roll(image, 1, axis=1) for name, image in images.items()},
    "in the other order": turned,
    "of another field of view": zoomed,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_views_score_less_in_every_metric(
    fault: str, images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    scores = scores_of(
        {name: np.ascontiguousarray(one) for name, one in FAULTS[fault](images).items()}, truth, tmp_path
    )
    for suffix in ("", "_other", "_16"):
        assert scores[f"psnr{suffix}"] < 40, "views 0 and 180 degrees stay in place in the other order"
        assert scores[f"ssim{suffix}"] < 0.97
    assert scores["mask_iou"] < 0.97


def test_larger_views_are_brought_down_and_smaller_or_missing_ones_refused(
    images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    doubled = {name: np.kron(image, np.ones((2, 2, 1), np.uint8)) for name, image in images.items()}
    assert scores_of(doubled, truth, tmp_path / "large")["psnr"] == MAX_PSNR
    halved = {name: np.ascontiguousarray(image[::2, ::2]) for name, image in images.items()}
    with pytest.raises(ValueError, match="view r00 of a has 16 x 16 pixels, its truth 32 x 32"):
        scores_of(halved, truth, tmp_path / "small")
    with pytest.raises(ValueError, match=r"peer-ring-1 has no view r02, r14 of a"):
        scores_of({name: images[name] for name in EIGHT if name not in ("r02", "r14")}, truth, tmp_path / "few")


def test_fitted_averages_premultiplied_colours() -> None:
    image = np.zeros((2, 2, 4), np.uint8)
    image[0] = [200, 100, 0, 255]
    image[1, :, :3] = 255  # white under alpha 0
    np.testing.assert_array_equal(fitted(image, 1, "it")[0, 0], [200, 100, 0, 128])


def test_sparse_views_are_one_set_because_no_target_is_given() -> None:
    targets = [Camera(f"t{index:02d}", 45.0 * index, 0.0, 1.5, 60.0) for index in range(8)]
    names = tuple(camera.name for camera in targets)
    assert view_sets(SPARSE, targets) == {"": names, "_other": names}
    ring = ring_cameras(views=8, elevation_deg=30.0, fov_deg=49.13, distance=1.5)
    assert set(view_sets(RING, ring)) == {"", "_other"}, "a ring of eight is the protocol's"


def test_azimuth_of_a_ring_is_judged_by_the_views_that_were_not_given(
    images: dict[str, Image], truth: TrueViews, tmp_path: Path
) -> None:
    """A copy of the given view fits no turn best; r00 itself, which counts at the cap, would give the turn away."""
    right = scores_of({name: images[name] for name in EIGHT}, truth, tmp_path / "right")
    assert (right["azimuth_hit_rate"], right["azimuth_chance"], right["azimuth_alike"]) == (1, 1 / 16, 0)
    names = list(images)
    turned = {name: images[names[(names.index(name) + 2) % 16]] for name in EIGHT[1:]} | {"r00": images["r00"]}
    wrong = scores_of(turned, truth, tmp_path / "wrong")
    assert wrong["azimuth_hit_rate"] == 0
    assert wrong["azimuth_margin"] < -10
    without_given = scores_of(turned | {"r00": np.zeros_like(images["r00"])}, truth, tmp_path / "without")
    assert without_given["azimuth_margin"] == wrong["azimuth_margin"]


def test_views_that_form_no_ring_have_no_azimuth_scores(images: dict[str, Image], tmp_path: Path) -> None:
    eleven = {name: images[name] for name in list(images)[:11]}
    truth = TrueViews.load(opened(eleven, tmp_path / "truth"), "a", RING, "cpu")
    scores = scores_of(eleven, truth, tmp_path / "drawn")
    assert "psnr" in scores
    assert not [name for name in scores if name.startswith("azimuth")]
