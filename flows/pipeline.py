"""Read this first: the whole pipeline, in the order of the data.

One row of STAGES = one stage of dvc.yaml = one section of params.yaml = one file in tasks/ = one MLflow run.
dvc.yaml and prefect.yaml are written from these tables by `python -m flows graph --write`. A new stage is a row here,
a section in flows/params.py and params.yaml, and a file in tasks/. `Stage` says how a row becomes a call.
"""

from pathlib import Path

from flows.stage import DAY, HOUR, Flow, Policy, Stage, Trigger, made_event
from tasks.report.inputs import ReportInputs

CATALOG = Path("data/catalog")
SELECTED = Path("data/selected")
OBJECTS = Path("data/objects")
NORMALIZED = Path("data/normalized")
VIEWS = Path("data/views")
VALIDATION = Path("data/validation")
MASK_VAE = Path("models_out/mask_vae")
LATENTS = Path("data/latents")
STAGE1 = Path("models_out/stage1")
STAGE2 = Path("models_out/stage2")
STAGE3 = Path("models_out/stage3")
DISTILLED = Path("models_out/distilled")
TEST_VIEWS = Path("data/test_views")
GSO_EVAL = Path("data/gso_eval")
BASELINES = Path("data/baselines")
SAMPLES = Path("data/samples")
MESHES = Path("data/meshes")
REPORTS = Path("reports")
WORK = Path(".work")
"""What outlives a stage's process without being its output: unfinished items, records of runs, logs, the lock. DVC
deletes outputs before it runs a stage."""
MODELS = {"stage1": STAGE1, "stage2": STAGE2, "stage3": STAGE3}

_ROWS = (
    Stage(
        name="catalog",
        description="list the objects and how good each looks (sec. 5.1)",
        runs="tasks.catalog:make_catalog",
        watches=("catalog.folder",),
        params=("seed", "catalog"),
        out=CATALOG,
        policy=Policy(retries=2, timeout_seconds=2 * HOUR),
    ),
    Stage(
        name="select",
        description="keep aesthetic score >= 5, with a reason for every drop; split into train and val (sec. 5.1)",
        runs="tasks.select:select_objects",
        inputs={"catalog": CATALOG},
        watches=("render_test.folder", "gso_eval.folder"),
        params=("seed", "select", "render_test", "gso_eval"),
        out=SELECTED,
        policy=Policy(retries=0, timeout_seconds=HOUR),
    ),
    Stage(
        name="download",
        description="fetch the kept objects, verified",
        runs="tasks.download:download_objects",
        inputs={"selected": SELECTED},
        watches=("catalog.folder",),
        params=("seed", "catalog", "download"),
        out=OBJECTS,
        policy=Policy(retries=3, timeout_seconds=7 * DAY),
    ),
    Stage(
        name="normalize",
        description="move each object's centre to the origin, scale its longest side to one; reject broken ones",
        runs="tasks.normalize:normalize_objects",
        inputs={"objects": OBJECTS},
        params=("normalize",),
        out=NORMALIZED,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
    ),
    Stage(
        name="render",
        description="render 32 targets and K condition views of every object, RGBA (sec. 4.1, 5.1)",
        runs="tasks.render:render_objects",
        inputs={"objects": OBJECTS, "normalized": NORMALIZED},
        params=("seed", "render"),
        out=VIEWS,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="validate-views",
        description="ask what the views must hold before anything is trained on them: coverage, copies, leaks",
        runs="tasks.validate_views:validate_views",
        inputs={"views": VIEWS, "normalized": NORMALIZED},
        watches=("render_test.folder", "gso_eval.folder"),
        params=("validate_views", "render_test", "gso_eval"),
        out=VALIDATION,
        policy=Policy(retries=1, timeout_seconds=DAY),
        objects_per_job=64,
    ),
    Stage(
        name="train-vae",
        description="train the mask-aware VAE: RGBA in, RGBA out (sec. 5.4)",
        runs="tasks.train_vae:train_mask_vae",
        inputs={"views": VIEWS},
        after=(VALIDATION / "passed.json",),
        params=("seed", "train_vae"),
        out=MASK_VAE,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="encode",
        description="encode every view with the frozen mask-aware VAE, the condition views with CLIP as well",
        runs="tasks.encode:encode_views",
        inputs={"views": VIEWS, "vae": MASK_VAE},
        params=("seed", "encode"),
        out=LATENTS,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
        whole_cards=True,
        objects_per_job=64,
    ),
    Stage(
        name="train-stage1",
        description="train epsilon-prediction, one condition view (sec. 5.5)",
        runs="tasks.train_diffusion:train_stage",
        inputs={"latents": LATENTS, "vae": MASK_VAE, "previous": None},
        params=("seed", "train_stage1"),
        fixed={"stage": "stage1"},
        out=STAGE1,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="train-stage2",
        description="train v-prediction, one condition view, from stage 1 (sec. 5.5)",
        runs="tasks.train_diffusion:train_stage",
        inputs={"latents": LATENTS, "vae": MASK_VAE, "previous": STAGE1},
        params=("seed", "train_stage2"),
        fixed={"stage": "stage2"},
        out=STAGE2,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="train-stage3",
        description="train v-prediction, half single, half several condition views, from stage 2 (sec. 5.5)",
        runs="tasks.train_diffusion:train_stage",
        inputs={"latents": LATENTS, "vae": MASK_VAE, "previous": STAGE2},
        params=("seed", "train_stage3"),
        fixed={"stage": "stage3"},
        out=STAGE3,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="distil",
        description="distil stage 3 into a model that draws in a few steps; off unless distil.steps says how many",
        runs="tasks.distil:distil_stage",
        inputs={"latents": LATENTS, "vae": MASK_VAE, "teacher": STAGE3},
        params=("seed", "distil", "train_stage3"),
        out=DISTILLED,
        policy=Policy(retries=1, timeout_seconds=30 * DAY),
    ),
    Stage(
        name="render-test",
        description="render the test sets: aligned sparse views, SyncDreamer's ring, ground-truth meshes (sec. 5.2)",
        runs="tasks.render_test:render_test_sets",
        inputs={"objects": OBJECTS, "normalized": NORMALIZED},
        watches=("render_test.folder",),
        params=("seed", "render", "normalize", "render_test"),
        out=TEST_VIEWS,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
    ),
    Stage(
        name="gso-eval",
        description="read SyncDreamer's test objects as given: 16 pictures and the true mesh of each (sec. 5.2)",
        runs="tasks.gso_eval:read_gso_eval",
        watches=("gso_eval.folder",),
        params=("gso_eval",),
        out=GSO_EVAL,
        policy=Policy(retries=1, timeout_seconds=2 * HOUR),
    ),
    Stage(
        name="baselines",
        description="reconstruct the test objects from true views: hull, NeuS, structure from motion (sec. 5.2)",
        runs="tasks.baselines:make_baselines",
        inputs={"test_views": TEST_VIEWS},
        params=("seed", "baselines", "reconstruct"),
        out=BASELINES,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
    ),
    Stage(
        name="sample",
        description="sample 32 views of every test object from its condition images, for each training stage (sec. 6)",
        runs="tasks.sample:sample_test_sets",
        inputs={"test_views": TEST_VIEWS, "gso_eval": GSO_EVAL, "stages": MODELS | {"distilled": DISTILLED}},
        params=("seed", "sample"),
        out=SAMPLES,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
        whole_cards=True,
    ),
    Stage(
        name="reconstruct",
        description="reconstruct a mesh from each set of sampled views (sec. 5.3)",
        runs="tasks.reconstruct:reconstruct_samples",
        inputs={"samples": SAMPLES},
        params=("seed", "reconstruct"),
        out=MESHES,
        policy=Policy(retries=1, timeout_seconds=7 * DAY),
    ),
    Stage(
        name="evaluate",
        description="score views and meshes beside the baselines, and write the report (sec. 5.2, 5.3)",
        runs="tasks.evaluate:evaluate",
        inputs={
            "inputs": ReportInputs(
                catalog=CATALOG,
                selected=SELECTED,
                objects=OBJECTS,
                normalized=NORMALIZED,
                views=VIEWS,
                validation=VALIDATION,
                mask_vae=MASK_VAE,
                latents=LATENTS,
                stages=MODELS,
                distilled=DISTILLED,
                test_views=TEST_VIEWS,
                gso_eval=GSO_EVAL,
                baselines=BASELINES,
                samples=SAMPLES,
                meshes=MESHES,
            )
        },
        watches=("evaluate.peers",),
        params=("seed", "evaluate"),
        out=REPORTS,
        policy=Policy(retries=0, timeout_seconds=DAY),
    ),
)
STAGES: dict[str, Stage] = {stage.name: stage for stage in _ROWS}

NIGHTLY = "0 3 * * *"
NEW_UIDS = Trigger("new-uids", "mvdpp.uids.new", "Somebody has said that there are new objects.")
NEW_VIEWS = Trigger(
    "new-views", made_event("render"), "Views were rendered; off until switched on, for it trains.", enabled=False
)
_OBJECTS = ("catalog.folder", "catalog.max_objects", "render.resolution", "render.conditions")
_VAE = ("train_vae.loop.samples", "train_vae.loop.batch_size")
_DIFFUSION = tuple(f"train_{stage}.loop.samples" for stage in MODELS)
FLOWS = (
    Flow("render-objaverse", "render", "Catalog to rendered views.", _OBJECTS, schedule=NIGHTLY, triggers=(NEW_UIDS,)),
    Flow("train-mask-vae", "train-vae", "The mask-aware VAE, and the views it learns from.", _VAE),
    Flow(
        "train-diffusion",
        "train-stage3",
        "The three stages of diffusion training, and what they need.",
        _VAE + _DIFFUSION,
        triggers=(NEW_VIEWS,),
    ),
    Flow("evaluate", "evaluate", "The report, and what it needs.", ("sample.steps", "evaluate.points")),
    Flow(
        "data-to-model",
        "evaluate",
        "Everything, from the catalog to the report.",
        _OBJECTS + _VAE + _DIFFUSION,
        promotes=True,
    ),
)
