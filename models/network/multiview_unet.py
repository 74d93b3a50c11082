"""The multi-view UNet (sec. 4.2): a plain inpainting UNet, attention over all views, and one embedding per view.

Cameras are metadata in its config; the network learns where a view stands from the index of its embedding.
"""

# Shapes: B object, V view, C latent channel, H and W latent size, L context token, D context width,
# E timestep embedding width

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import TimestepEmbedding
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.config import ConditionInput, GenerationInput, NoiseConfig, Span, UNetConfig
from models.network.attention import Kernel, MultiViewAttention
from models.network.near_views import near_views
from models.network.noise import Diffusion
from models.network.pretrained import align, forget_origin, load_published, require_equal
from models.network.timesteps import equal_noise_timesteps, pretrained_alphas

ATTENTION_SLICES = {"auto": 4096, "max": 1024, None: None}
"""Tokens of a chunk by diffusers' names; scores of 20 heads take 1.3 GB for 4096 x 4096 tokens, 80 MB for 1024²."""

TIMESTEP_PARTS = 1000
"""Parts of a timestep in the table of `timestep_map`."""


class MultiViewUNet(ModelMixin, ConfigMixin):
    """Denoises all views of an object together (sec. 4.2); saves and loads like any diffusers model.

    Three things are added to an inpainting UNet2DConditionModel: self-attention spans all views of an object, a branch
    flag tells condition views from targets, and each view has a learned embedding that joins the timestep's, scaled by
    one learned scalar that starts at zero, or where `build_unet` says.

    Args:
        base_config: Arguments of the UNet2DConditionModel; its input channels are noisy latent, flag and condition
            latent, 2 C + 1.
        num_targets: Number of target views, 32 in the paper; target j has view id `max_condition_views` + j.
        max_condition_views: Largest number of condition views, 10 in the paper; condition view k has view id k.
        condition_flag: Value of the flag channel in condition views, 0 or 1; targets have 1 minus it.
        view_embedding: False leaves the view embeddings out (ablation).
        global_attention: What self-attention spans: True, all views (the paper); False, each view alone (ablation); or
            for each level, the finest first, "all", "rows", "near" or "none" (`MultiViewAttention`).
        geometry: The targets' cameras, ordered elevation-major, azimuth-minor: `azimuths` (number of columns),
            `elevations_deg` (one per row), `fov_deg` (full angle) and `distance` (object's longest side = 1).
        condition_drop: Share of the last training's samples whose condition was dropped, without which there is no
            classifier-free guidance; None: unknown, as in models saved before 0.3.
        generation_input: What the targets' condition channels are given: "white", the latent of the white image (the
            paper), or "reference", that of the first condition view.
        timestep_map: What the network is told for each timestep (models.network.timesteps); None: the timestep itself.
        condition_input: "noisy": condition views are denoised beside the targets (the paper); "clean": their clean
            latents take the place of the noisy ones, and what is predicted for them means nothing.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(  # noqa: PLR0913, PLR0917  the keys of config.json, which diffusers passes one by one
        self,
        base_config: dict[str, Any],
        num_targets: int,
        max_condition_views: int,
        condition_flag: int,  # noqa: ARG002  what forward does not need is kept in the config only
        view_embedding: bool,
        global_attention: bool | list[Span],
        geometry: dict[str, Any],  # noqa: ARG002
        condition_drop: float | None = None,  # noqa: ARG002
        generation_input: GenerationInput = "white",  # noqa: ARG002
        timestep_map: list[float] | None = None,
        condition_input: ConditionInput = "noisy",  # noqa: ARG002
    ) -> None:
        super().__init__()
        # "identity": what is passed as class_labels is added to the timestep embedding
        embed_type = {"class_embed_type": "identity"} if view_embedding else {}
        self.base = UNet2DConditionModel(**base_config, **embed_type)
        self._spans = spans_of(global_attention, len(self.base.down_blocks))
        self._set_attention()
        if timestep_map is not None:
            # whole numbers, because a network that is cast to 16 bits would round others by up to 4 timesteps
            table = (torch.tensor(timestep_map) * TIMESTEP_PARTS).round().long()
            self.register_buffer("timestep_table", table, persistent=False)
        if view_embedding:
            width = self.base.config.block_out_channels[0]
            self.view_vectors = nn.Embedding(max_condition_views + num_targets, width)
            self.view_mlp = TimestepEmbedding(width, self.base.time_embedding.linear_2.out_features)
            self.view_scale = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        noisy_BVCHW: Tensor,
        timestep_B: Tensor,
        *,
        condition_BVCHW: Tensor,
        flag_BV: Tensor,
        view_ids_BV: Tensor,
        embeds_BLD: Tensor,
        view_mask_BV: Tensor | None = None,
        embeds_mask_BL: Tensor | None = None,
    ) -> Tensor:
        """Predict the noise or velocity of every view (Eq. 1).

        Args:
            noisy_BVCHW: Noisy scaled latents of condition views and targets.
            timestep_B: One timestep per object, the same for all its views.
            condition_BVCHW: Clean scaled latents: of the image in condition views, of the white image or of the first
                condition view in targets (`generation_input`).
            flag_BV: `condition_flag` in condition views, 1 minus it in targets.
            view_ids_BV: Indices of the view embeddings.
            embeds_BLD: CLIP embeddings of the condition images, to which all views attend.
            view_mask_BV: True where a view exists; None when nothing is padded.
            embeds_mask_BL: True where an embedding exists; None when nothing is padded.

        Returns:
            (B, V, C, H, W) in the dtype of the network; the values of padded views mean nothing, nor do those of
            condition views where `condition_input` is "clean".
        """
        B, V, C, H, W = noisy_BVCHW.shape
        assert condition_BVCHW.shape == noisy_BVCHW.shape, "one condition latent per view"
        assert flag_BV.shape == view_ids_BV.shape == (B, V), "one flag and one id per view"
        across_views: dict[str, Any] = {"num_views": V, "view_mask_BV": view_mask_BV, "embeds_mask_BL": embeds_mask_BL}
        if "near" in self._spans:
            across_views["windows"] = near_views(
                view_ids_BV,
                num_conditions=embeds_BLD.shape[1],
                first_target=self.config.max_condition_views,
                num_columns=self.config.geometry["azimuths"],
                view_mask_BV=view_mask_BV,
            )
        if self.config.condition_input == "clean":
            is_condition_BV = flag_BV == self.config.condition_flag
            noisy_BVCHW = torch.where(is_condition_BV[:, :, None, None, None], condition_BVCHW, noisy_BVCHW)
        flag_BV1HW = flag_BV.to(noisy_BVCHW.dtype)[:, :, None, None, None].expand(B, V, 1, H, W)
        predicted = self.base(
            torch.cat([noisy_BVCHW, flag_BV1HW, condition_BVCHW], dim=2).flatten(0, 1),
            self.told_timesteps(timestep_B).repeat_interleave(V),
            embeds_BLD,
            class_labels=self._embed_views(view_ids_BV) if self.config.view_embedding else None,
            cross_attention_kwargs=across_views,
            return_dict=False,
        )[0]
        return predicted.view(B, V, C, H, W)

    def told_timesteps(self, timestep_B: Tensor) -> Tensor:
        """What the network is told at these timesteps, which need not be whole: the same, or by `timestep_map`."""
        if self.config.timestep_map is None:
            return timestep_B
        last = len(self.timestep_table) - 1
        lower_B = timestep_B.long().clamp(0, last)
        upper_B = (lower_B + 1).clamp(max=last)
        parts_B = torch.lerp(
            self.timestep_table[lower_B].float(), self.timestep_table[upper_B].float(), timestep_B.float() - lower_B
        )
        return parts_B / TIMESTEP_PARTS

    def set_attention_chunk(self, chunk: int | None) -> None:
        """Compute attention in chunks: exact and slower, but with far less memory where torch has no fused kernel.

        Args:
            chunk: Number of queries and keys at a time; None: all at once.

        Raises:
            ValueError: `chunk` is less than 1.
        """
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunk is {chunk}; it must be at least 1, or None")
        self._set_attention(chunk=chunk)

    def set_attention_kernel(self, kernel: Kernel | None, *, takes_masks: bool = False) -> None:
        """Replace torch's attention kernel, for example by FlashAttention 3; None: torch's again.

        Args:
            kernel: Computes attention where nothing is masked.
            takes_masks: It also serves where something is masked, and ignores the mask.
        """
        self._set_attention(kernel=kernel, takes_masks=takes_masks)

    def _set_attention(self, **settings: Any) -> None:
        """Give every attention layer the span of its level."""
        processors = {span: MultiViewAttention(span, **settings) for span in self._spans}
        num_levels = len(self._spans)
        self.base.set_attn_processor(
            {name: processors[self._spans[level_of(name, num_levels)]] for name in self.base.attn_processors}
        )

    def recompute_levels(self, levels: Collection[int]) -> None:
        """Switch gradient checkpointing on for these levels and off for all others.

        Args:
            levels: Levels of the UNet, 0 being the finest; empty: none.

        Raises:
            ValueError: The network has no such level.
        """
        num_levels = len(self.base.down_blocks)
        if not set(levels) <= set(range(num_levels)):
            raise ValueError(f"recompute_levels is {sorted(levels)}; the network has levels 0 to {num_levels - 1}")
        self.enable_gradient_checkpointing()
        by_level = [list(blocks) for blocks in zip(self.base.down_blocks, reversed(self.base.up_blocks), strict=True)]
        by_level[-1].append(self.base.mid_block)
        for level, blocks in enumerate(by_level):
            for module in (module for block in blocks for module in block.modules()):
                if hasattr(module, "gradient_checkpointing"):
                    module.gradient_checkpointing = level in levels

    @property
    def recomputed_levels(self) -> list[int]:
        """The levels under gradient checkpointing."""
        return [level for level, block in enumerate(self.base.down_blocks) if block.gradient_checkpointing]

    @classmethod
    def from_pretrained(cls, *args: Any, **settings: Any) -> Any:
        """Load a saved model as every diffusers model does; it computes the same bits as the one that was saved."""
        loaded = super().from_pretrained(*args, **settings)
        align(loaded[0] if isinstance(loaded, tuple) else loaded)  # a tuple with output_loading_info=True
        return loaded

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str = "10GB",
        **settings: Any,
    ) -> None:
        """Save config and weights, without the path that the model was loaded from.

        Args:
            save_directory: Folder.
            safe_serialization: Safetensors rather than pickle.
            variant: Put into the file names, such as "fp16". A pipeline passes on what it finds in this signature.
            max_shard_size: Largest weight file.
            settings: Others of diffusers.
        """
        forget_origin(self)
        super().save_pretrained(
            save_directory,
            safe_serialization=safe_serialization,
            variant=variant,
            max_shard_size=max_shard_size,
            **settings,
        )

    def set_attention_slice(self, slice_size: Literal["auto", "max"] | None) -> None:
        """Compute attention in chunks of tokens; what a pipeline's `enable_attention_slicing` calls.

        Args:
            slice_size: "auto", "max" for the least memory, or None for all at once.

        Raises:
            ValueError: `slice_size` is a number, which elsewhere counts heads.
        """
        if slice_size not in ATTENTION_SLICES:
            raise ValueError(
                f"slice_size is {slice_size}; give 'auto', 'max' or None, or call unet.set_attention_chunk(TOKENS)"
            )
        self.set_attention_chunk(ATTENTION_SLICES[slice_size])

    def _embed_views(self, view_ids_BV: Tensor) -> Tensor:
        """The s * tau'(V_i) of sec. 4.2, flattened to ((B V), E)."""
        embedding_BVE: Tensor = self.view_scale * self.view_mlp(self.view_vectors(view_ids_BV))
        return embedding_BVE.flatten(0, 1)


def spans_of(global_attention: bool | Sequence[Span], num_levels: int) -> list[Span]:
    """Return what self-attention spans at each level.

    Raises ValueError when the spans are not as many as the levels.
    """
    if isinstance(global_attention, bool):
        return ["all" if global_attention else "none"] * num_levels
    if len(global_attention) != num_levels:
        raise ValueError(
            f"global_attention names {len(global_attention)} spans; the network has {num_levels} levels: "
            "give one for each, the finest first, or true for all views everywhere"
        )
    return list(global_attention)


def level_of(name: str, num_levels: int) -> int:
    """Return the level, 0 being the finest, of a module of a UNet2DConditionModel by its name, as "up_blocks.1.x"."""
    part, number = name.split(".")[:2]
    if part == "down_blocks":
        return int(number)
    return num_levels - 1 - int(number) if part == "up_blocks" else num_levels - 1


def from_inpainting(path_or_id: str, *, latent_size: int, **settings: Any) -> MultiViewUNet:
    """Start from a pretrained inpainting UNet2DConditionModel.

    With one view, or views that do not attend to each other, the result computes what that network computes.

    Args:
        path_or_id: Folder or hub id, as `models.network.pretrained.load_published` reads it.
        latent_size: Height and width of the latents.
        settings: Arguments of the constructor other than `base_config`.

    Raises:
        ValueError: The network does not have an inpainting UNet's 2 C + 1 input channels.
    """
    base = load_published(
        UNet2DConditionModel.from_pretrained, path_or_id, sample_size=latent_size, use_safetensors=True
    )
    expected = 2 * base.config.out_channels + 1
    if base.config.in_channels != expected:
        raise ValueError(
            f"{path_or_id} has {base.config.in_channels} input channels; an inpainting UNet has {expected} "
            "(noisy latent, flag, condition latent)"
        )
    base_config = {key: value for key, value in base.config.items() if not key.startswith("_")}
    del base_config["class_embed_type"]
    model = MultiViewUNet(base_config=base_config, **settings)
    model.base.load_state_dict(base.state_dict())
    return model


def build_unet(
    config: UNetConfig,
    *,
    num_targets: int,
    latent_channels: int,
    latent_size: int,
    geometry: Mapping[str, Any],
    noise: NoiseConfig | None = None,
) -> MultiViewUNet:
    """Build the network of stage 1, pretrained or with random weights from torch's global generator.

    Args:
        config: The architecture, and whose weights to start from.
        num_targets: Number of target views.
        latent_channels: C.
        latent_size: H = W.
        geometry: The targets' cameras, as `MultiViewUNet` describes them.
        noise: The process that the network is trained on; needed where `config.timestep_map` is "pretrained".

    Raises:
        ValueError: The pretrained network has another architecture than `config` says, or no schedule lies beside it.
    """
    settings: dict[str, Any] = {
        "num_targets": num_targets,
        "max_condition_views": config.max_condition_views,
        "condition_flag": config.condition_flag,
        "view_embedding": config.view_embedding,
        "global_attention": config.global_attention
        if isinstance(config.global_attention, bool)
        else list(config.global_attention),
        "generation_input": config.generation_input,
        "condition_input": config.condition_input,
        "timestep_map": None,
        # as JSON has it, so that a loaded model equals a built one
        "geometry": {key: list(value) if isinstance(value, tuple) else value for key, value in geometry.items()},
    }
    if config.timestep_map == "pretrained":
        assert config.pretrained is not None, "UNetConfig has refused it"
        assert noise is not None, "a map needs both schedules"
        settings["timestep_map"] = equal_noise_timesteps(Diffusion(noise).alpha, pretrained_alphas(config.pretrained))
    if config.pretrained is None:
        model = MultiViewUNet(base_config=_base_config(config, latent_channels, latent_size), **settings)
    else:
        model = from_inpainting(config.pretrained, latent_size=latent_size, **settings)
        wanted = {"out_channels": latent_channels} | {key: getattr(config, key) for key in _SHAPE}
        require_equal(wanted, _shape_of(model.base), config.pretrained)
    if config.view_embedding:
        nn.init.constant_(model.view_scale, config.view_scale)
        if config.view_vectors == "angles":
            start_from_angles(model)
    return model


def start_from_angles(unet: MultiViewUNet) -> None:
    """Set the targets' view vectors to random mixtures, of unit variance, of sinusoids of azimuth and elevation.

    The products of both are among them, so that the similarity of two vectors falls with the angles between the views.
    The mixture comes from torch's global generator, as the random start does.
    """
    geometry = unet.config.geometry
    azimuths_A = torch.arange(geometry["azimuths"]) * (2 * torch.pi / geometry["azimuths"])
    elevations_R = torch.deg2rad(torch.tensor([float(degrees) for degrees in geometry["elevations_deg"]]))
    around_AF, up_RF = _sinusoids(azimuths_A), _sinusoids(elevations_R)
    features_TF = torch.einsum("rf,ag->rafg", up_RF, around_AF).flatten(0, 1).flatten(1)
    features_TF = features_TF / features_TF.norm(dim=1, keepdim=True)
    vectors_VE = unet.view_vectors.weight
    mixture_FE = torch.randn(features_TF.shape[1], vectors_VE.shape[1])
    with torch.no_grad():
        vectors_VE[unet.config.max_condition_views :] = features_TF @ mixture_FE


def _sinusoids(angles_N: Tensor) -> Tensor:
    """1, and cosine and sine of once to four times the angle: (N, 9)."""
    multiples_NM = angles_N[:, None] * torch.arange(1, 5)
    return torch.cat([torch.ones(len(angles_N), 1), multiples_NM.cos(), multiples_NM.sin()], dim=1)


_SHAPE = ("block_out_channels", "layers_per_block", "attention_head_dim", "cross_attention_dim", "norm_num_groups")


def _shape_of(unet: Any) -> dict[str, Any]:
    """The fields of `unet.config` that UNetConfig also has, as tuples with one entry per level."""
    shape = {key: unet.config[key] for key in (*_SHAPE, "out_channels")}
    widths, heads = tuple(shape["block_out_channels"]), shape["attention_head_dim"]
    heads = (heads,) * len(widths) if isinstance(heads, int) else tuple(heads)
    return shape | {"block_out_channels": widths, "attention_head_dim": heads}


def _base_config(config: UNetConfig, latent_channels: int, latent_size: int) -> dict[str, Any]:
    """Arguments of a UNet2DConditionModel with Stable Diffusion 2's topology at the given widths."""
    levels = config.attention_levels
    shift = config.resnet_time_scale_shift
    # left out at its default, so that the config of an older network stays the same
    return ({} if shift == "default" else {"resnet_time_scale_shift": shift}) | {
        "sample_size": latent_size,
        "in_channels": 2 * latent_channels + 1,
        "out_channels": latent_channels,
        "block_out_channels": list(config.block_out_channels),
        "down_block_types": ["CrossAttnDownBlock2D" if level else "DownBlock2D" for level in levels],
        "up_block_types": ["CrossAttnUpBlock2D" if level else "UpBlock2D" for level in reversed(levels)],
        "layers_per_block": config.layers_per_block,
        "attention_head_dim": list(config.attention_head_dim),
        "cross_attention_dim": config.cross_attention_dim,
        "norm_num_groups": config.norm_num_groups,
        "use_linear_projection": True,
    }
