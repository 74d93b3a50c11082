"""Read this first: the whole pipeline, in the order of the data.

One function here = one stage of dvc.yaml = one section of params.yaml = one MLflow run.
A test holds the four together.
"""

from collections.abc import Callable
from pathlib import Path

from flows.params import Params
from tasks.catalog import make_catalog
from tasks.download import download_objects
from tasks.encode import encode_views
from tasks.evaluate import ReportInputs
from tasks.evaluate import evaluate as evaluate_samples
from tasks.normalize import normalize_objects
from tasks.ports import Tools
from tasks.reconstruct import reconstruct_samples
from tasks.render import render_objects
from tasks.render_test import TestRecipe, render_test_sets
from tasks.sample import sample_test_sets
from tasks.select import select_objects
from tasks.train_diffusion import train_stage
from tasks.train_vae import train_mask_vae

CATALOG = Path("data/catalog")
SELECTED = Path("data/selected")
OBJECTS = Path("data/objects")
NORMALIZED = Path("data/normalized")
VIEWS = Path("data/views")
MASK_VAE = Path("models_out/mask_vae")
LATENTS = Path("data/latents")
STAGE1 = Path("models_out/stage1")
STAGE2 = Path("models_out/stage2")
STAGE3 = Path("models_out/stage3")
TEST_VIEWS = Path("data/test_views")
SAMPLES = Path("data/samples")
MESHES = Path("data/meshes")
REPORTS = Path("reports")


def catalog(params: Params, tools: Tools) -> None:
    """Which objects there are, and how good each looks (sec. 5.1)."""
    make_catalog(params.catalog, params.seed, CATALOG, tools)


def select(params: Params, tools: Tools) -> None:
    """Keep aesthetic score >= 5, with a reason for every drop; split into train and val (sec. 5.1)."""
    select_objects(CATALOG, params.select, params.seed, SELECTED, tools)


def download(params: Params, tools: Tools) -> None:
    """The kept objects only, verified."""
    download_objects(SELECTED, params.catalog, params.download, params.seed, OBJECTS, tools)


def normalize(params: Params, tools: Tools) -> None:
    """Bounding-box centre to the origin, longest side to one; reject what cannot be rendered (sec. 5.1)."""
    normalize_objects(OBJECTS, params.normalize, NORMALIZED, tools)


def render(params: Params, tools: Tools) -> None:
    """32 targets and K condition views per object, RGBA (sec. 4.1, 5.1)."""
    render_objects(OBJECTS, NORMALIZED, params.render, params.seed, VIEWS, tools)


def train_vae(params: Params, tools: Tools) -> None:
    """The mask-aware VAE: RGBA in, RGBA out (sec. 5.4)."""
    train_mask_vae(VIEWS, params.train_vae, params.seed, MASK_VAE, tools)


def encode(params: Params, tools: Tools) -> None:
    """Every view through the frozen mask-aware VAE, the condition views through CLIP as well."""
    encode_views(VIEWS, MASK_VAE, params.encode, params.seed, LATENTS, tools)


def train_stage1(params: Params, tools: Tools) -> None:
    """Epsilon-prediction, one condition view (sec. 5.5)."""
    train_stage("stage1", LATENTS, None, MASK_VAE, params.train_stage1, params.seed, STAGE1, tools)


def train_stage2(params: Params, tools: Tools) -> None:
    """V-prediction, one condition view (sec. 5.5)."""
    train_stage("stage2", LATENTS, STAGE1, MASK_VAE, params.train_stage2, params.seed, STAGE2, tools)


def train_stage3(params: Params, tools: Tools) -> None:
    """V-prediction, half single, half several condition views (sec. 5.5)."""
    train_stage("stage3", LATENTS, STAGE2, MASK_VAE, params.train_stage3, params.seed, STAGE3, tools)


def render_test(params: Params, tools: Tools) -> None:
    """The test sets: aligned sparse views, SyncDreamer's ring, and ground-truth meshes (sec. 5.2)."""
    recipe = TestRecipe(params.render_test, params.render, params.normalize, params.seed)
    render_test_sets(OBJECTS, NORMALIZED, recipe, TEST_VIEWS, tools)


def sample(params: Params, tools: Tools) -> None:
    """32 views of every test object from its condition images, for each training stage (sec. 6)."""
    sample_test_sets(
        TEST_VIEWS, {"stage1": STAGE1, "stage2": STAGE2, "stage3": STAGE3}, params.sample, params.seed, SAMPLES, tools
    )


def reconstruct(params: Params, tools: Tools) -> None:
    """A mesh from each set of sampled views (sec. 5.3)."""
    reconstruct_samples(SAMPLES, params.reconstruct, params.seed, MESHES, tools)


def evaluate(params: Params, tools: Tools) -> None:
    """PSNR, SSIM, mask IoU, Chamfer, volume IoU against the floors; the report (sec. 5.2, 5.3)."""
    inputs = ReportInputs(
        catalog=CATALOG,
        selected=SELECTED,
        objects=OBJECTS,
        normalized=NORMALIZED,
        views=VIEWS,
        mask_vae=MASK_VAE,
        stages={"stage1": STAGE1, "stage2": STAGE2, "stage3": STAGE3},
        test_views=TEST_VIEWS,
        samples=SAMPLES,
        meshes=MESHES,
    )
    evaluate_samples(inputs, params.evaluate, params.seed, REPORTS, tools)


STAGES: dict[str, Callable[[Params, Tools], None]] = {
    run.__name__.replace("_", "-"): run
    for run in (
        catalog,
        select,
        download,
        normalize,
        render,
        train_vae,
        encode,
        train_stage1,
        train_stage2,
        train_stage3,
        render_test,
        sample,
        reconstruct,
        evaluate,
    )
}

FLOWS: dict[str, str] = {
    "render-objaverse": "render",
    "train-mask-vae": "train-vae",
    "train-diffusion": "train-stage3",
    "evaluate": "evaluate",
    "data-to-model": "evaluate",
}
"""Prefect deployments: each runs its stage and whatever that stage needs first."""
