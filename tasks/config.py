"""The sections of params.yaml that belong to data stages. Everything here changes a result."""

from functools import partial
from operator import eq
from typing import Literal, Self

from pydantic import Field, model_validator

from models.network.scheduler_names import SchedulerName
from render.axes import UpAxisField
from render.config import Section

Flag = Literal["is_multi_object", "is_scene", "is_figure", "is_transparent", "is_single_color", "is_age_restricted"]
"""What a catalog says yes or no to of an object. All but the last are Objaverse++'s traits."""
Measure = Literal["num_faces", "num_vertices", "num_animations", "view_count", "like_count", "bytes", "quality"]
"""What a catalog counts of an object; quality is Objaverse++'s class: 0 low, 1 medium, 2 high, 3 superior."""

IndexPart = Literal["sketchfab", "sketchfab-alignment", "github", "github-alignment", "smithsonian", "thingiverse"]
"""A list of Objaverse-XL's index."""


def check_up_axis(section: str, source: str, up_axis: str | None) -> None:
    """Raise ValueError when an up axis is given for objects that do not come from a folder."""
    if up_axis is not None and source != "folder":
        raise ValueError(
            f"up_axis is {up_axis} and source {source}; only a folder's files are turned: set {section}.up_axis to null"
        )


class CatalogConfig(Section):
    """Where objects come from and how many are listed."""

    recipe: int = Field(ge=1)
    source: Literal["procedural", "folder", "objaverse", "objaverse-xl", "texverse", "proobjaverse"]
    """objaverse: Objaverse 1.0; objaverse-xl: what the lists in `parts` name; texverse: Sketchfab's objects with large
    textures; proobjaverse: objects of Objaverse 1.0 of which `folder` has views (docs/selection.md)."""
    folder: str
    """For `folder`: where the files of the objects lie; `~` is the home folder (docs/folders.md). For `proobjaverse`: a
    copy of ProObjaverse-300K. DVC watches it."""
    up_axis: UpAxisField = Field(default=None, exclude_if=partial(eq, None))
    """For `folder`: axis of the files that points up, such as Z; a cell of the column `up_axis` of its scores.csv
    overrides it for one object. null: what the format says (docs/rendering.md)."""
    include: tuple[str, ...] = Field(min_length=1)
    """Glob patterns on the uid; an object is listed when any matches."""
    max_objects: int | None = Field(ge=1)
    """List at most so many, the first by uid hash; null: all."""
    procedural_indices: int | None = Field(default=None, ge=1, exclude_if=partial(eq, None))
    """For `procedural`: the indices from 0 to N - 1, 12 of each 23 of which make an object. Other sources ignore it."""
    procedural_families: tuple[str, ...] | None = Field(default=None, min_length=1, exclude_if=partial(eq, None))
    """For `procedural`: the kinds of objects among them, such as duck; null: all. Other sources ignore it."""
    parts: tuple[IndexPart, ...] | None = Field(default=None, min_length=1, exclude_if=partial(eq, None))
    """For `objaverse-xl`: which of its lists; null: the two of the objects that it was tuned on (sketchfab-alignment,
    github-alignment). Other sources ignore it."""
    scores: str | tuple[str, ...] | None
    """Table of scores, or several, of which the first that scores an object counts (CSV or Parquet file, http(s):// or
    s3://; docs/selection.md): columns `uid` (or TRELLIS-500K's `file_identifier`) and `aesthetic_score`, or
    Objaverse++'s. null: the source's own, if it has one.
    DVC does not watch the tables: bump `recipe` when their content changes."""

    @property
    def score_tables(self) -> tuple[str, ...]:
        """Where the tables of scores lie, in order of precedence."""
        return (self.scores,) if isinstance(self.scores, str) else self.scores or ()

    @model_validator(mode="after")
    def _knows_its_axes(self) -> Self:
        check_up_axis("catalog", self.source, self.up_axis)
        return self


class SelectConfig(Section):
    """Which listed objects are kept (sec. 5.1: aesthetic score at least 5)."""

    min_score: float = Field(ge=0, le=10)
    missing_score: Literal["keep", "reject"]
    """What to do with an object that has no score."""
    max_objects: int | None = Field(ge=1)
    """Keep at most so many, the first by uid hash; null: all."""
    max_procedural: int | None = Field(default=None, ge=1, exclude_if=partial(eq, None))
    """Keep at most so many procedural objects, the first by uid hash; null: all. Objects of other sources are not
    counted."""
    licences: tuple[str, ...] | None = Field(default=None, min_length=1, exclude_if=partial(eq, None))
    """Keep objects of these licences alone: SPDX identifiers such as CC-BY-4.0, or the hub's words (by, cc0); null: of
    any."""
    lvis_only: bool = Field(default=False, exclude_if=partial(eq, False))
    """Keep only objects in a category of LVIS, the 47,000 that Objaverse's authors checked."""
    flags: dict[Flag, bool] | None = Field(default=None, min_length=1, exclude_if=partial(eq, None))
    """Keep objects of which these are so, such as {is_scene: false, is_multi_object: false}; null: any."""
    between: dict[Measure, tuple[float | None, float | None]] | None = Field(
        default=None, min_length=1, exclude_if=partial(eq, None)
    )
    """Keep objects whose numbers lie between these bounds, both included, null being none: {num_faces: [100, 1e6],
    bytes: [null, 5e7], num_animations: [0, 0], quality: [2, null]}; null: any. Bytes are the hub's file's."""
    missing_value: Literal["keep", "reject"] = Field(default="reject", exclude_if=partial(eq, "reject"))
    """What to do with an object of which nobody said what `licences`, `flags` or `between` ask."""
    leave_out: str | None = Field(default=None, exclude_if=partial(eq, None))
    """List of objects that are not kept (CSV or Parquet file, http(s):// or s3://): column `uid`. DVC does not watch
    it: give a changed list another name."""
    list: str | None = Field(default=None, exclude_if=partial(eq, None))
    """List of the objects that are kept, as `python -m flows export-selection` writes it: columns `uid` and, if wanted,
    `split`. Every other field of this section is without effect but, where the list has no split, `val_share`. DVC does
    not watch it: give a changed list another name."""
    val_share: float = Field(ge=0, lt=1)
    """Share of the objects that no training sees, chosen by uid hash."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for name, (least, most) in (self.between or {}).items():
            if least is not None and most is not None and least > most:
                raise ValueError(f"between.{name} is [{least:g}, {most:g}]; the first bound must be the lower one")
            if least is None and most is None:
                raise ValueError(f"between.{name} has no bound; give one, or leave {name} out")
        return self


class DownloadConfig(Section):
    """Which files are accepted, and how many downloads may fail."""

    max_mb: float = Field(gt=0)
    """Larger files are rejected."""
    max_failed_share: float = Field(ge=0, le=1)


class NormalizeConfig(Section):
    """How objects are placed: bounding-box centre at the origin, longest side `longest_side`."""

    recipe: int = Field(ge=1)
    longest_side: float = Field(gt=0)
    """1 is the convention of Zero123 and SyncDreamer. The paper's text says 2, which clips 99 % of its own views."""
    max_faces: int = Field(ge=1)
    """Heavier objects are rejected."""
    missing_texture: Literal["reject", "keep"]
    """Blender paints a missing texture magenta."""
    enclosed: Literal["reject", "keep"]
    """What becomes of objects of which the views would show an inside or a shell (render/enclosure.py): scenes in a sky
    dome or a room, faces turned inside out."""
    max_failed_share: float = Field(ge=0, le=1)


OnFailure = Literal["warn", "stop"]
"""What a stage does when an expectation does not hold."""


class ShareExpectation(Section):
    """Something that is expected of all objects but a share."""

    max_share: float = Field(ge=0, le=1)
    """Share of the objects for which it need not hold."""
    on_failure: OnFailure
    """warn: say so and go on; stop: train on nothing."""


class RangeExpectation(ShareExpectation):
    """A number of each object lies between two bounds."""

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self


class LookAlikeExpectation(ShareExpectation):
    """An object looks like no other."""

    distance: float = Field(gt=0, lt=1)
    """Difference of their thumbnails, over that of one of them from an empty image, up to which two objects look
    alike."""


class CopyExpectation(ShareExpectation):
    """An object has not the shape of another."""

    distance: float = Field(gt=0, lt=1)
    """Distance of their shapes (render/shape.py) up to which two objects count as one."""


class ValidateConfig(Section):
    """What the rendered views must hold before anything is trained on them (docs/mechanisms.md)."""

    recipe: int = Field(ge=1)
    views_each: int = Field(ge=1)
    """Target views of each object that are looked at."""
    views: ShareExpectation
    """Every object has as many views as most."""
    coverage: RangeExpectation
    """Share of the image that an object covers, the mean over its views."""
    brightness: RangeExpectation
    """Mean luma of an object's pixels."""
    duplicates: LookAlikeExpectation
    """No object looks like another."""
    leaks: LookAlikeExpectation
    """No object of validation looks like one of training."""
    shape_leaks: CopyExpectation
    """No object of validation has the shape of one of training."""
    test_leaks: CopyExpectation
    """No object of gso_eval.folder, or of render_test.folder where that is the source, has the shape of one of
    training."""


class EncoderConfig(Section):
    """The CLIP vision tower whose embeddings of the condition views feed cross-attention."""

    pretrained: str | None
    """Hub id (owner/name@COMMIT/subfolder) or folder of a CLIPVisionModelWithProjection; null: seeded random
    weights at the sizes below."""
    image_size: int = Field(ge=8)
    patch_size: int = Field(ge=1)
    hidden_size: int = Field(ge=8)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    projection_dim: int = Field(ge=8)


class EncodeConfig(Section):
    """How views are encoded with the frozen mask-aware VAE and the image encoder."""

    recipe: int = Field(ge=1)
    image_encoder: EncoderConfig
    batch_size: int = Field(ge=1)
    off_scale: OnFailure = Field(default="warn", exclude_if=partial(eq, "warn"))
    """What to do when mean or deviation of the scaled latents are far off what the noise schedule expects
    (models/data/latent_statistics.py)."""


class RenderTestConfig(Section):
    """What the test sets of sec. 5.2 show, and with which cameras."""

    recipe: int = Field(ge=1)
    source: Literal["catalog", "folder"]
    """catalog: objects of this run; folder: a folder of textured scans such as GSO-30."""
    folder: str
    """For `folder`. DVC watches it."""
    up_axis: UpAxisField = Field(default=None, exclude_if=partial(eq, None))
    """For `folder`, as in the section `catalog`."""
    train_objects: int = Field(ge=0)
    """For `catalog`: how many training objects to test on (does it learn?)."""
    held_out_objects: int = Field(ge=0)
    """For `catalog`: how many held-out objects to test on (does it generalise?)."""
    azimuth: Literal["grid", "continuous"]
    """Of the condition views: on the training grid, or U[0, 360) as in the paper's sparse-view test."""
    conditions: int = Field(ge=1)
    ring_views: int = Field(ge=0)
    """Views of SyncDreamer's single-view protocol (16, every 22.5 deg); 0 leaves that out."""
    ring_elevation_deg: float
    ring_fov_deg: float
    ring_distance: float
    ring_resolution: int | None = Field(default=None, ge=16, le=4096)
    """Side of the ring's images in pixels, at which they are scored (256 in SyncDreamer's); null: render.resolution."""
    max_failed_share: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _knows_its_axes(self) -> Self:
        check_up_axis("render_test", self.source, self.up_axis)
        return self


class GsoEvalConfig(Section):
    """SyncDreamer's test objects, or others in its layout: 16 pictures and a true mesh each (docs/evaluation.md)."""

    recipe: int = Field(ge=1)
    folder: str
    """Where the folders of the objects lie; an empty one makes an empty test set. DVC watches it."""
    resolution: int = Field(ge=16, le=4096)
    """Side of the pictures in pixels, 256 in SyncDreamer's; an object with others is rejected."""
    angles_deg: dict[str, float]
    """Ground-truth angle by object, in degrees: the mesh is turned by minus it about Z. The thirty objects have
    SyncDreamer's, any other 0."""


BaselineName = Literal["hull-gt-pose", "neus-gt-pose", "sfm", "upper-bound"]


class BaselinesConfig(Section):
    """Which reconstructions without a generative model stand beside the samples (sec. 5.2; docs/evaluation.md).

    How they reconstruct says the section `reconstruct`, the same for them as for the samples.
    """

    recipe: int = Field(ge=1)
    methods: tuple[BaselineName, ...]
    """hull-gt-pose, neus-gt-pose: visual hull and NeuS from the condition views with their true poses; sfm: NeuS with
    poses from structure from motion; upper-bound: from all true target views, what a perfect model would get."""
    conditions: tuple[int, ...]
    """Numbers of condition views (1, 2, 4, 10 in Table 2); sfm takes those above 1."""

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for name, values in (("methods", self.methods), ("conditions", self.conditions)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} has an entry twice: {', '.join(map(str, values))}")
        if any(count < 1 for count in self.conditions):
            raise ValueError(f"conditions has {min(self.conditions)}; a reconstruction needs at least 1 view")
        return self


class SampleConfig(Section):
    """How the 32 views of each test object are sampled (sec. 6)."""

    recipe: int = Field(ge=1)
    stages: tuple[Literal["stage1", "stage2", "stage3", "distilled"], ...] = Field(min_length=1)
    """Models, also that of the stage distil where `distil.steps` is set."""
    protocols: tuple[Literal["sparse", "ring", "gso"], ...] = Field(min_length=1)
    """What is sampled, as far as the test sets have it: 32 targets, SyncDreamer's cameras rendered here, its own files
    (docs/evaluation.md)."""
    conditions: tuple[int, ...] = Field(min_length=1)
    """Numbers of condition images for the sparse-view protocol; single-view stages use only 1."""
    scheduler: SchedulerName
    """Of the training stages; the distilled model has its own, and its own steps."""
    steps: int = Field(ge=1, le=1000)
    """75 DDPM steps in sec. 6."""
    guidance: float = Field(ge=1)
    """1 = no classifier-free guidance (the paper mentions none)."""
    fov: Literal["raw", "fov_matched"]
    """For the protocols ring and gso, whose cameras have another field of view (docs/paper.md 3.1)."""


class EvaluateConfig(Section):
    """How the metrics of sec. 5.2 and 5.3 are computed; docs/evaluation.md defines each."""

    points: int = Field(ge=100)
    """Points of each surface whose distance from the other is measured, for `chamfer_area`, `f_score` and
    `normal_consistency`. `chamfer` has SyncDreamer's own points."""
    iou_resolution: int = Field(ge=8)
    """Points along each axis of the [-1, 1] cube for volume IoU (64 in SyncDreamer's protocol)."""
    lpips_weights: str | None
    """VGG16 weights for LPIPS: a file, or one at a hub, owner/name@COMMIT/file; null: no LPIPS, since random weights
    mean nothing."""
    st_lpips: bool
    """Shift-tolerant LPIPS, whose weights ship in the package stlpips-pytorch; false: left out."""
    consistency_resolution: int | None = Field(ge=16, le=256)
    """Voxels along the side of the two hulls whose distance says how well views agree; null: left out."""
    peers: str
    """Folder of what other systems predict, which `python -m flows score` imports. DVC watches it."""
    benchmark: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """Data set of the hub, owner/name, that `eval_results/*.yaml` files the results under. A hub shows them beside the
    model, and on a board where it knows the data set as a benchmark."""
