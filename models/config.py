"""The sections of params.yaml that belong to models and their training. Everything here changes a result."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Frozen and strict: a misspelt key stops everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VAEConfig(Section):
    """Architecture of the mask-aware VAE: diffusers' AutoencoderKL with a mask channel (sec. 5.4)."""

    pretrained: str | None
    """Hub id or folder of an RGB AutoencoderKL to extend; null: from scratch at the widths below."""
    block_out_channels: tuple[int, ...]
    layers_per_block: int = Field(ge=1)
    latent_channels: int = Field(ge=1)
    norm_num_groups: int = Field(ge=1)


class OptimizerConfig(Section):
    """AdamW or Adam with warm-up and decay; the clock counts samples."""

    learning_rate: float = Field(gt=0, lt=1)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    schedule: Literal["constant", "cosine"]
    warmup_samples: int = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    state_bits: Literal[8, 32] = 32
    """Of each moment; 8 saves 6 bytes of the 20 that a parameter needs in training. The paper does not say."""


class LoopConfig(Section):
    """How long and how big; all counted in samples, so that the number of workers changes nothing."""

    batch_size: int = Field(ge=1)
    """Global: objects (diffusion) or images (VAE) per optimizer step."""
    samples: int = Field(ge=1)
    """Length of the training."""
    ema_decay: float = Field(ge=0, lt=1)
    """0 switches the average off."""
    log_every: int = Field(ge=1)
    """Steps."""
    validate_every: int = Field(ge=1)
    """Steps."""
    checkpoint_every: int = Field(ge=1)
    """Steps."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: the forward pass under autocast; weights, optimizer and average stay float32. The paper does not say."""


class TrainingConfig(Section):
    """A section that describes a training."""

    optimizer: OptimizerConfig
    loop: LoopConfig


class MaskVAEConfig(TrainingConfig):
    """Stage train-vae."""

    recipe: int = Field(ge=1)
    vae: VAEConfig
    crop: int | None
    """Side of random training crops in pixels; null: whole images."""
    perceptual_weight: float = Field(ge=0)
    """LPIPS with VGG16; needs `lpips_weights`."""
    lpips_weights: str | None
    kl_weight: float = Field(ge=0)
    """1e-6 on sums over C*H*W in LDM."""
    mask_weight: float = Field(ge=0)
    """Of the binary cross-entropy on the mask channel (sec. 5.4)."""
    discriminator_weight: float = Field(ge=0)
    discriminator_start: int = Field(ge=0)
    """Optimizer step at which the patch discriminator joins (50,001 in LDM)."""


class UNetConfig(Section):
    """Architecture of the multi-view UNet (sec. 4.2)."""

    pretrained: str | None
    """Hub id or folder of an inpainting UNet2DConditionModel; null: from scratch at the widths below."""
    block_out_channels: tuple[int, ...]
    attention_levels: tuple[bool, ...]
    """Which levels carry transformer blocks, as CrossAttnDownBlock2D versus DownBlock2D; SD: all but the last."""
    layers_per_block: int = Field(ge=1)
    attention_head_dim: tuple[int, ...]
    """Number of heads per level (diffusers' historical name)."""
    cross_attention_dim: int = Field(ge=8)
    norm_num_groups: int = Field(ge=1)
    condition_flag: Literal[0, 1]
    """Value of the branch channel in the condition branch (M_pos); the other has 1 minus it (docs/paper.md 1.3)."""
    max_condition_views: int = Field(ge=1)
    """Condition view embeddings: 10 in the paper."""
    view_embedding: bool
    """False only for the ablation."""
    global_attention: bool
    """False only for the ablation: self-attention inside each view."""


class NoiseConfig(Section):
    """The diffusion process (sec. 4.2)."""

    timesteps: int = Field(ge=1)
    beta_start: float = Field(gt=0, lt=1)
    beta_end: float = Field(gt=0, lt=1)
    beta_schedule: Literal["linear", "scaled_linear"]
    zero_terminal_snr: bool
    """Rescale the betas so that the last step is pure noise; v-prediction only."""
    prediction: Literal["epsilon", "v_prediction"]
    """What the loss is measured in."""
    network: Literal["epsilon", "v_prediction"]
    """What the network says, converted where `prediction` is the other one. A stage that goes over to v can let the
    network say v from now on, at first a wrong answer, or go on with noise: then its function starts unchanged."""
    min_snr_gamma: float | None
    """Min-SNR loss weight; null: plain MSE."""


class StageConfig(TrainingConfig):
    """One of the three diffusion trainings (sec. 5.5)."""

    recipe: int = Field(ge=1)
    unet: UNetConfig | None
    """Stage 1 builds it; stages 2 and 3 take the network of the stage before."""
    start_from: Literal["ema", "raw"]
    """Which weights of the stage before; unused by stage 1."""
    noise: NoiseConfig
    kept_targets: int = Field(ge=1)
    """View dropout: so many of the targets are kept per object and step (8 of 32, sec. 4.3)."""
    multi_condition_share: float = Field(ge=0, le=1)
    """Share of samples with several condition views: 0 in stages 1 and 2, one half in stage 3."""
    multi_conditions: tuple[int, int]
    """Range of their number, inclusive: 2..10."""
    condition_drop: float = Field(ge=0, lt=1)
    """Probability of dropping the condition, for classifier-free guidance."""
    drawn_steps: int = Field(ge=0)
    """At every validation one held-out object is drawn in so many steps of UniPC; 0: none."""


class ReconstructConfig(Section):
    """A mesh from the 32 sampled views."""

    recipe: int = Field(ge=1)
    method: Literal["hull", "sdf"]
    """hull: visual hull by voting; sdf: SDF fitted by volume rendering."""
    resolution: int = Field(ge=16, le=1024)
    """Voxels along the cube's side."""
    iterations: int = Field(ge=0)
    """Steps of the SDF fit."""
    vote: float = Field(gt=0, le=1)
    """Share of the views that must see a voxel as foreground."""
