"""The sections of params.yaml that belong to models and their training. Everything here changes a result."""

from functools import partial
from operator import eq
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# exclude_if leaves a field that came later out of manifests and fingerprints while it changes nothing

GenerationInput = Literal["white", "reference"]
"""What the targets' condition channels hold."""
ConditionInput = Literal["noisy", "clean"]
"""What the noisy channels of the condition views hold."""
Span = Literal["all", "rows", "near", "none"]
"""Views that the self-attention of a level spans."""
Precision = Literal["fp32", "bf16"]
"""fp32: networks compute in float32; bf16: in bfloat16 as far as the place says."""
AttentionKernel = Literal["auto", "cudnn", "flash", "efficient", "math", "fa3", "fa4"]
"""Kernels that compute attention; models.network.attention_kernels says what each is."""


class Section(BaseModel):
    """Base class of sections: frozen, and an unknown key is an error.

    render/config.py has the same three lines, because models and render do not import each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class VAEConfig(Section):
    """Architecture of the mask-aware VAE: diffusers' AutoencoderKL with a mask channel (sec. 5.4)."""

    pretrained: str | None
    """Hub id (owner/name@COMMIT/subfolder) or folder of an RGB AutoencoderKL to extend; null: from scratch at the
    widths below."""
    block_out_channels: tuple[int, ...]
    layers_per_block: int = Field(ge=1)
    latent_channels: int = Field(ge=1)
    norm_num_groups: int = Field(ge=1)
    mask_channel: bool = Field(default=True, exclude_if=partial(eq, True))
    """False only for the ablation: a VAE of colours alone, whose masks are read from the decoded colours
    (models.network.mask_vae.mask_of_colours)."""

    @property
    def image_channels(self) -> int:
        """Channels of what the VAE sees and decodes: the colours, and the mask."""
        return 4 if self.mask_channel else 3


class OptimizerConfig(Section):
    """AdamW with warm-up and decay of the learning rate, both counted in samples (sec. 5.5)."""

    learning_rate: float = Field(gt=0, lt=1)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "cosine"]
    warmup_samples: int = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    state_bits: Literal[8, 32] = 32
    """Bits of each of Adam's moments; 8 saves 6 of the 20 bytes of a parameter in training. The paper does not say."""
    decayed: Literal["all", "matrices"] = Field(default="all", exclude_if=partial(eq, "all"))
    """What `weight_decay` shrinks: all parameters, or the weights of linear layers and convolutions that get gradients,
    which spares norms, biases, embeddings, the view scale, and in stages where every sample has one condition view
    the cross-attention's queries and keys, which reach no output there. The paper does not say."""
    view_scale_rate: float = Field(default=1.0, gt=0, exclude_if=partial(eq, 1.0))
    """Learning rate of the scale of the view embeddings, as a multiple of that of all other parameters; a scale with a
    rate of its own has no weight decay. Networks without view embeddings ignore it. The paper does not say."""


class LoopConfig(Section):
    """Batch size, length and intervals of a training, none of which depends on the number of ranks."""

    batch_size: int = Field(ge=1)
    """Global batch size: objects (diffusion) or images (VAE) per optimizer step."""
    samples: int = Field(ge=1)
    """Length of the training in samples."""
    ema_decay: float = Field(ge=0, lt=1)
    """Decay of the moving average of weights per step; 0 switches the average off."""
    log_every: int = Field(ge=1)
    """Steps between two logged means of the training's metrics."""
    validate_every: int = Field(ge=1)
    """Steps between two validations."""
    checkpoint_every: int = Field(ge=1)
    """Steps between two checkpoints."""
    precision: Precision = "fp32"
    """bf16: the forward pass under autocast; weights, optimizer and average stay float32. The paper does not say."""
    max_skipped_steps: int = Field(default=0, ge=0, exclude_if=partial(eq, 0))
    """Steps, since the first sample, whose loss or gradient may be not finite: they change neither weights nor
    optimizer state nor average, and the next such step ends the training. The paper does not say."""
    left_out: tuple[tuple[int, int], ...] = Field(default=(), exclude_if=partial(eq, ()))
    """Ranges [first, last] of sample ids, both inclusive, in whose place other samples are drawn: around those that a
    training cannot take in (docs/training.md)."""

    @field_validator("left_out")
    @classmethod
    def _are_ranges(cls, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for first, last in value:
            if not 0 <= first <= last < 2**62:
                raise ValueError(
                    f"[{first}, {last}] is no range of sample ids: write the first id, 0 or more, and then the last "
                    "one, below 2^62"
                )
        return value


class TrainingConfig(Section):
    """Base class of sections that describe a training."""

    optimizer: OptimizerConfig
    loop: LoopConfig
    continue_from: str | None = Field(default=None, pattern="^[0-9a-f]{32}$", exclude_if=partial(eq, None))
    """Key of another training of the same stage, which is the name of its folder in the stage's work folder: where this
    one begins, with that one's newest checkpoint instead of at zero (docs/training.md)."""

    def weight_settings(self) -> dict[str, Any]:
        """Return the fields that decide the weights: all but those of logging, validation and checkpoints.

        A training keeps its checkpoints, and goes on from them, when any of the fields that are left out changes.
        """
        observing: dict[str, set[str] | bool] = {
            "loop": {"log_every", "validate_every", "checkpoint_every"},
            "drawn_steps": True,
            "drawn_objects": True,
        }
        return self.model_dump(mode="json", exclude=observing)


class MaskVAEConfig(TrainingConfig):
    """The training of the mask-aware VAE, stage train-vae (sec. 5.4)."""

    recipe: int = Field(ge=1)
    vae: VAEConfig
    crop: int | None
    """Side of random training crops in pixels; null: whole images."""
    perceptual_weight: float = Field(ge=0)
    """Weight of LPIPS with VGG16; needs `lpips_weights`."""
    lpips_weights: str | None
    """File with VGG16's weights; null where `perceptual_weight` is 0."""
    kl_weight: float = Field(ge=0)
    """Weight of the KL divergence; 1e-6 on sums over C*H*W in LDM."""
    mask_weight: float = Field(ge=0)
    """Weight of the binary cross-entropy on the mask channel (sec. 5.4)."""
    object_weight: float = Field(default=1.0, ge=1, exclude_if=partial(eq, 1.0))
    """Weight of the L1 of a pixel in the object's mask; one of the white around it has 1. LDM's loss has 1; a VAE from
    scratch learns colours, rather than grey silhouettes alone, far sooner with 10 (docs/training.md)."""
    discriminator_weight: float = Field(ge=0)
    """Weight of the adversarial loss; 0: no discriminator."""
    discriminator_start: int = Field(ge=0)
    """Optimizer step at which the patch discriminator joins (50,001 in LDM)."""


class UNetConfig(Section):
    """Architecture of the multi-view UNet (sec. 4.2)."""

    pretrained: str | None
    """Hub id (owner/name@COMMIT/subfolder) or folder of an inpainting UNet2DConditionModel; null: from scratch at the
    widths below."""
    block_out_channels: tuple[int, ...]
    attention_levels: tuple[bool, ...]
    """Which levels carry transformer blocks, as CrossAttnDownBlock2D versus DownBlock2D; SD: all but the last."""
    layers_per_block: int = Field(ge=1)
    attention_head_dim: tuple[int, ...]
    """Number of heads per level (diffusers' historical name)."""
    cross_attention_dim: int = Field(ge=8)
    norm_num_groups: int = Field(ge=1)
    generation_input: GenerationInput = Field(default="white", exclude_if=partial(eq, "white"))
    """Image whose clean latent fills the condition channels of the targets (docs/model.md): white, the white image with
    the all-ones mask, as the paper; reference, the first condition view, from whose azimuth the targets count."""
    condition_input: ConditionInput = Field(default="noisy", exclude_if=partial(eq, "noisy"))
    """What the noisy channels of the condition views hold: noisy, their own noisy latents, denoised beside the targets'
    as in the paper; clean, their clean latents, so that targets attend to views without noise and the loss
    counts targets alone (docs/model.md)."""
    condition_flag: Literal[0, 1]
    """Value of the branch channel in the condition branch (M_pos); the other has 1 minus it (docs/paper.md 1.3)."""
    max_condition_views: int = Field(ge=1)
    """Condition view embeddings: 10 in the paper."""
    view_embedding: bool
    """False only for the ablation."""
    view_scale: float = Field(default=0.0, exclude_if=partial(eq, 0.0))
    """Start of the scale s of the view embeddings. At 0, the paper's, the network equals its base at step 0 and hardly
    knows its views for a long time; 1 is measured to be better from scratch (docs/model.md)."""
    view_vectors: Literal["random", "angles"] = Field(default="random", exclude_if=partial(eq, "random"))
    """What the targets' view embeddings start from: random vectors, as the paper; or angles, sinusoids of azimuth and
    elevation, so that near views have near embeddings at step 0. Both are learned from there."""
    global_attention: bool | tuple[Span, ...]
    """What self-attention spans: true, all views at every level, as the paper; false, each view alone (ablation). Or
    for each level, the finest first: all; rows, the rows of all views at one height; near, the condition views and the
    targets beside a target; none, each view alone. Costs: docs/mechanisms.md."""
    resnet_time_scale_shift: Literal["default", "scale_shift"] = Field(
        default="default", exclude_if=partial(eq, "default")
    )
    """How timestep and view reach a resnet (diffusers' name): default, added to its features, as in Stable Diffusion;
    scale_shift, as a scale and a shift of the normalized features, which a pretrained network has no weights for."""
    timestep_map: Literal["none", "pretrained"] = Field(default="none", exclude_if=partial(eq, "none"))
    """Timesteps that the network is told: none, those of `noise`; pretrained, those at which the pretrained network
    knew the same ratio of signal to noise, by the schedule beside its weights. The paper does not say."""

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if not isinstance(self.global_attention, bool) and len(self.global_attention) != len(self.block_out_channels):
            raise ValueError(
                f"global_attention names {len(self.global_attention)} spans, but block_out_channels "
                f"{len(self.block_out_channels)} levels: give one for each, the finest first, or true or false"
            )
        if self.resnet_time_scale_shift == "scale_shift" and self.pretrained is not None:
            raise ValueError(
                "resnet_time_scale_shift is scale_shift and pretrained is set: Stable Diffusion's networks have no "
                "weights for it; write default"
            )
        if self.timestep_map == "pretrained" and self.pretrained is None:
            raise ValueError("timestep_map is pretrained and pretrained is null, so no schedule is known: write none")
        return self


class NoiseConfig(Section):
    """The diffusion process: schedule, parametrization and loss weight (sec. 4.2)."""

    timesteps: int = Field(ge=1)
    beta_start: float = Field(gt=0, lt=1)
    beta_end: float = Field(gt=0, lt=1)
    beta_schedule: Literal["linear", "scaled_linear"]
    zero_terminal_snr: bool
    """Rescale the betas so that the last step is pure noise; v-prediction only."""
    prediction: Literal["epsilon", "v_prediction"]
    """The quantity whose squared error is the loss."""
    network: Literal["epsilon", "v_prediction"]
    """The quantity that the network outputs; it is converted where `prediction` is the other one. A stage whose loss
    changes to v can keep a network that outputs noise, which starts unchanged, or reinterpret its output as v."""
    min_snr_gamma: float | None
    """Min-SNR loss weight; null: plain MSE."""

    @model_validator(mode="after")
    def _is_defined_at_the_last_step(self) -> Self:
        if self.zero_terminal_snr and "epsilon" in {self.prediction, self.network}:
            raise ValueError(
                "zero_terminal_snr is true and prediction or network is epsilon, which says nothing about z_0 at the "
                "last step; use v_prediction"
            )
        return self


class StageConfig(TrainingConfig):
    """One of the three diffusion trainings (sec. 5.5)."""

    recipe: int = Field(ge=1)
    unet: UNetConfig | None
    """The network that stage 1 builds; null in stages 2 and 3, which continue the network of the stage before."""
    start_from: Literal["ema", "raw"]
    """Which weights of the stage before to start from, averaged or newest; unused by stage 1."""
    noise: NoiseConfig
    kept_targets: int = Field(ge=1)
    """Targets of a sample that view dropout keeps (8 of 32, sec. 4.3)."""
    multi_condition_share: float = Field(ge=0, le=1)
    """Probability that a sample has several condition views: 0 in stages 1 and 2, one half in stage 3."""
    multi_conditions: tuple[int, int]
    """Inclusive range of the number of condition views in those samples: 2 to 10."""
    condition_drop: float = Field(ge=0, lt=1)
    """Probability of condition dropout, for classifier-free guidance."""
    drawn_steps: int = Field(ge=0)
    """Sampling steps (UniPC) with which every validation generates the views of `drawn_objects`; 0: none."""
    drawn_objects: int = Field(default=1, ge=1, exclude_if=partial(eq, 1))
    """How many held-out objects every validation draws, the first by uid; their scores are averaged. One tells the
    azimuth hit rate by yes or no alone. The paper does not say."""
    max_objects: int | None = Field(default=None, ge=1, exclude_if=partial(eq, None))
    """How many of the training objects to learn from, the first by the hash of their uids, so that those of a smaller
    number are among those of a larger one; null: all, as in the paper."""

    @property
    def condition_shares(self) -> dict[int, float]:
        """Share of the samples by number of condition views (sec. 5.5); together 1."""
        shares = {1: 1.0 - self.multi_condition_share}
        if self.multi_condition_share:
            low, high = self.multi_conditions
            for count in range(low, high + 1):
                shares[count] = shares.get(count, 0.0) + self.multi_condition_share / (high - low + 1)
        return shares

    def check_views(self, *, num_targets: int, num_conditions: int, max_condition_views: int) -> None:
        """Raise ValueError when samples need more views than an object has, or more than the network tells apart.

        Args:
            num_targets: Target views of an object.
            num_conditions: Condition views of an object.
            max_condition_views: Condition view embeddings of the network.
        """
        if self.kept_targets > num_targets:
            raise ValueError(f"kept_targets is {self.kept_targets}; render makes only {num_targets} targets")
        low, high = self.multi_conditions
        if self.multi_condition_share == 0:
            return
        if not 1 <= low <= high <= max_condition_views:
            raise ValueError(
                f"multi_conditions is {low} to {high}; it must rise, up to unet.max_condition_views, "
                f"{max_condition_views}"
            )
        if high > num_conditions:
            raise ValueError(f"multi_conditions goes to {high}; render.conditions is {num_conditions}")

    def check_network(self, *, is_first: bool) -> None:
        """Raise ValueError when the first of the trainings has no network to build, or a later one has one."""
        if is_first and self.unet is None:
            raise ValueError("unet is null; stage 1 builds the network: describe the network")
        if not is_first and self.unet is not None:
            raise ValueError("unet is set; only stage 1 builds a network, the others continue it: write null")


class DistilConfig(TrainingConfig):
    """The distillation of stage 3 to a few steps, stage distil, which the paper does not have (docs/training.md).

    Samples and noise are those of the section `train_stage3`.
    """

    recipe: int = Field(ge=1)
    steps: int | None = Field(ge=1, le=16)
    """Steps of DDIM that the distilled model draws in; null: nothing is distilled, and the stage's folder says so."""
    teacher_steps: int = Field(ge=2)
    """Steps of DDIM in which the teacher goes from noise to latents: a multiple of `steps` and a divisor of the
    timesteps of noise. More are nearer to the ODE and take longer to learn."""
    drawn_objects: int = Field(ge=0)
    """How many held-out objects every validation draws, in `steps` steps; 0: none."""

    def check(self, noise: NoiseConfig) -> None:
        """Raise ValueError when the steps do not come out even, or the network says nothing of the last timestep.

        Args:
            noise: The process of stage 3.
        """
        if self.steps is None:
            return
        if noise.prediction != "v_prediction":
            raise ValueError(
                f"steps is set and noise.prediction of stage 3 is {noise.prediction}; it must be v_prediction"
            )
        if noise.timesteps % self.teacher_steps:
            raise ValueError(
                f"teacher_steps is {self.teacher_steps}, which does not divide the {noise.timesteps} timesteps of "
                "noise; write a divisor, such as 40 of 1000"
            )
        if self.teacher_steps % self.steps:
            raise ValueError(
                f"steps is {self.steps}, which does not divide teacher_steps, {self.teacher_steps}; write a divisor"
            )


class Effort(Section):
    """How finely and how long a surface is fitted."""

    resolution: int = Field(ge=16, le=1024)
    """Voxels along the cube's side; for sdf a multiple of 4, because the fit begins with voxels four times as large."""
    iterations: int = Field(ge=0)
    """Optimizer steps of the SDF fit."""
    batch: int = Field(ge=1)
    """Rays of an optimizer step."""


EFFORTS = {
    "draft": Effort(resolution=48, iterations=90, batch=512),
    "standard": Effort(resolution=96, iterations=400, batch=1024),
    "paper": Effort(resolution=256, iterations=3000, batch=4096),
}
"""What `reconstruct.quality` stands for; a change here changes meshes: bump `reconstruct.recipe`."""


class ReconstructConfig(Section):
    """Reconstruction of a mesh from the generated views (sec. 5.3); measured in docs/evaluation.md."""

    recipe: int = Field(ge=1)
    method: Literal["hull", "sdf"]
    """hull: visual hull by voting; sdf: signed distance field fitted by volume rendering (NeuS), starting from the
    hull."""
    quality: Effort
    """A name in EFFORTS (draft, standard, paper), or its numbers."""
    vote: float | Literal["auto"]
    """Share of the views, above 0, that must see a point as foreground; auto: measured for each object by how well the
    hull fits the silhouettes (models/reconstruction/votes.py)."""
    normal_weight: float = Field(default=0.0, ge=0, le=10)
    """Weight of the views' normals beside their colours in the SDF fit; 0: views need none (`render.passes`)."""

    @field_validator("quality", mode="before")
    @classmethod
    def _numbers_of_a_name(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in EFFORTS:
            raise ValueError(
                f"{value!r} is no quality; write {', '.join(EFFORTS)}, or numbers for {', '.join(Effort.model_fields)}"
            )
        return EFFORTS[value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.method == "sdf" and self.quality.resolution % 4:
            raise ValueError(f"resolution is {self.quality.resolution}; the SDF fit needs a multiple of 4")
        if self.vote != "auto" and not 0 < self.vote <= 1:
            raise ValueError(f"vote is {self.vote}; give a share of the views above 0 and at most 1, or auto")
        return self
