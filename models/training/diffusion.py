"""Trains the multi-view UNet (sec. 5.5): from samples to the loss of Eq. 1. Knows no files and no clock."""

# Shapes: B sample, K condition view, T target, V = K + T view (conditions first), C latent channel,
# H and W latent size, D embedding width

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.data.samples import SampleReader, Samples, group_by_views
from models.network.conditioning import Conditioning, assemble_conditioning
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import Diffusion
from models.training.cost import SampleCost, unet_cost, unet_tflop
from models.training.distributed import SINGLE, Ranks
from models.training.emulated_autocast import Device
from models.training.sharding import full_tensor
from models.training.trainable import MicroBatchLoss
from models.training.validation import ValidationSampler

NUM_VALIDATION_SAMPLES = 16
"""Four per quartile of the timesteps: enough to see a trend, cheap enough to do often."""
QUARTILES = 4


@dataclass(frozen=True)
class DiffusionTraining:
    """Trains a multi-view UNet; satisfies `models.training.trainable.Trainable`.

    Samples of a step that have different numbers of condition views go through the network in groups of equal number.
    The loss is the mean over a step's samples of the sum over a sample's views (Eq. 1), divided by the number of views
    of a single-condition sample, so that a target weighs the same beside any number of condition views. Where the
    network is given clean condition views (`condition_input`), targets alone count.
    """

    model: MultiViewUNet
    diffusion: Diffusion
    reader: SampleReader
    validation: SampleReader
    """Held-out objects, or the training objects where none are held out."""
    white_CHW: Tensor
    """(C, H, W) scaled latent of the white image, on the device of the model."""
    micro_batch: int | None = None
    """Most samples per forward pass, to save memory; None for whole groups."""
    sampler: ValidationSampler | None = None
    """Samples an object at every validation; None: validation computes only losses."""
    ranks: Ranks = SINGLE
    """The ranks that the network is sharded over, which must make equally many forward passes per step."""
    _tflop_by_conditions: dict[int, float] = field(default_factory=dict, repr=False)
    discriminator: None = None
    may_be_sharded: ClassVar[bool] = True

    @property
    def frozen_parameters(self) -> int:
        """None: the network learns from data alone."""
        return 0

    def load(self, sample_ids: Sequence[int]) -> list[Samples]:
        """Read samples one by one; the computing thread joins them, since two threads' OpenMP teams slow each other."""
        return [self.reader.read(sample_id) for sample_id in sample_ids]

    def micro_batches(self, batch: list[Samples]) -> Iterator[MicroBatchLoss]:
        """Yield the loss of each group of samples with equally many views."""
        groups = group_by_views(batch, self.micro_batch)
        num_micro_batches = self.ranks.all_reduce_max(len(groups), self.white_CHW.device)
        of_step = self.view_metrics(torch.cat([sample.timestep_B for sample in batch]))
        for number, samples in enumerate(groups, start=1):
            loss = self.sample_losses(samples).sum() / len(batch)
            yield MicroBatchLoss(loss, {"loss": loss} | of_step, is_last=number == num_micro_batches)
            of_step = {}
        for number in range(len(groups) + 1, num_micro_batches + 1):
            zero = self.sample_losses(groups[0]).sum() * 0  # this rank has no group left but must take part
            yield MicroBatchLoss(zero, {"loss": zero}, is_last=number == num_micro_batches)

    @torch.no_grad()
    def view_metrics(self, timestep_B: Tensor) -> dict[str, Tensor]:
        """What says whether the network can tell its views apart: view_scale, and view_share at these timesteps.

        view_share is the norm of what the view embeddings add, the root mean square over views, over the norm of the
        timestep embedding that they are added to: the mean over samples, so that ranks may share them. Collective where
        the weights are sharded.
        """
        if not self.model.config.view_embedding:
            return {}
        added_VE, time_BE = view_and_time_embeddings(self.model, timestep_B.to(self.white_CHW.device))
        share = (added_VE.square().sum(dim=1).mean().sqrt() / time_BE.norm(dim=1)).mean()
        return {"view_scale": full_tensor(self.model.view_scale.detach()).squeeze(), "view_share": share}

    def sample_losses(self, samples: Samples) -> Tensor:
        """Eq. 1 for each sample (B,): weighted squared error summed over condition and target views."""
        samples = samples.to(self.white_CHW.device)
        noisy_BVCHW = self.diffusion.add_noise(samples.clean_BVCHW, samples.noise_BVCHW, samples.timestep_B)
        predicted_BVCHW = self.predict(self.model, noisy_BVCHW, samples.timestep_B, self.conditioning(samples))
        target_BVCHW = self.diffusion.target(samples.clean_BVCHW, samples.noise_BVCHW, samples.timestep_B)
        return self.mean_square(predicted_BVCHW - target_BVCHW, samples)

    def conditioning(self, samples: Samples) -> Conditioning:
        """What the network is given of samples besides noisy latents and timesteps."""
        return assemble_conditioning(
            self.model,
            condition_latents_BKCHW=samples.condition_BKCHW,
            embeds_BKD=samples.embeds_BKD,
            white_latent_CHW=self.white_CHW,
            target_ids_BT=samples.target_ids_BT,
            is_dropped_B=samples.is_dropped_B,
        )

    def predict(
        self, unet: MultiViewUNet, noisy_BVCHW: Tensor, timestep_B: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """What a network's output says of the quantity that the loss compares (B, V, C, H, W), in float32."""
        output_BVCHW = unet(noisy_BVCHW, timestep_B, **vars(conditioning)).float()
        return self.diffusion.as_target(output_BVCHW, noisy_BVCHW, timestep_B)

    def mean_square(self, error_BVCHW: Tensor, samples: Samples) -> Tensor:
        """The weighted squared error of each sample (B,), a mean over the views that count."""
        error_BV = error_BVCHW.square().flatten(2).mean(dim=2)
        num_targets = samples.target_ids_BT.shape[1]
        if self.model.config.condition_input == "clean":
            error_B = error_BV[:, -num_targets:].mean(dim=1)
        else:
            error_B = error_BV.sum(dim=1) / (1 + num_targets)
        return error_B * self.diffusion.loss_weight(samples.timestep_B)

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Uids of the objects of samples."""
        return self.reader.names(sample_ids)

    def sample_tflop(self, sample_ids: Sequence[int]) -> Sequence[float]:
        """10^12 operations of each sample, forward and backward, by its number of condition views."""
        plan, counted = self.reader.plan, self._tflop_by_conditions
        numbers = [plan.count_conditions(sample_id) for sample_id in sample_ids]
        for number in set(numbers) - counted.keys():
            counted[number] = unet_tflop(self.model, number, plan.kept_targets)
        return [counted[number] for number in numbers]

    def cost(self, autocast: Device | None) -> SampleCost:
        """Cost of a sample with the largest number of condition views."""
        plan = self.reader.plan
        conditions = plan.multi_conditions[1] if plan.multi_condition_share > 0 else 1
        return unet_cost(self.model, conditions, plan.kept_targets, autocast)

    def validate(self) -> dict[str, float]:
        """Losses of held-out samples at fixed timesteps, views and noise; with a `sampler` also metrics of its views.

        Returns:
            val/loss, and val/loss_q1 to val/loss_q4 by quartile of the timesteps (q1: least noise).
        """
        timesteps = validation_timesteps(self.diffusion.config.timesteps)
        losses = torch.stack(
            [self._validation_loss(sample_id, timestep) for sample_id, timestep in enumerate(timesteps)]
        )
        quartiles = losses.view(QUARTILES, -1).mean(dim=1).tolist()
        metrics = {"val/loss": losses.mean().item()} | {
            f"val/loss_q{q}": loss for q, loss in enumerate(quartiles, start=1)
        }
        return metrics | (self.sampler.evaluate(self.model) if self.sampler else {})

    def _validation_loss(self, sample_id: int, timestep: int) -> Tensor:
        return self.sample_losses(self.validation.read_validation(sample_id, timestep=timestep))[0]


def view_and_time_embeddings(unet: MultiViewUNet, timestep_B: Tensor) -> tuple[Tensor, Tensor]:
    """What the embedding of every view adds, (V, E), and the timestep embeddings that it is added to, (B, E)."""
    vectors_VE, scale = (full_tensor(weight) for weight in (unet.view_vectors.weight, unet.view_scale))
    sinusoids_BE = unet.base.time_proj(unet.told_timesteps(timestep_B)).to(vectors_VE.dtype)
    added_VE = scale * _with_full_weights(unet.view_mlp, vectors_VE)
    return added_VE.float(), _with_full_weights(unet.base.time_embedding, sinusoids_BE).float()


def _with_full_weights(module: nn.Module, inputs: Tensor) -> Tensor:
    """Call a module that may be sharded outside of the forward pass that gathers its weights."""
    weights = {name: full_tensor(weight) for name, weight in module.named_parameters()}
    outputs: Tensor = torch.func.functional_call(module, weights, (inputs,))
    return outputs


def validation_timesteps(num_timesteps: int) -> list[int]:
    """NUM_VALIDATION_SAMPLES timesteps at the centres of equal intervals, ascending."""
    return [int((index + 0.5) * num_timesteps / NUM_VALIDATION_SAMPLES) for index in range(NUM_VALIDATION_SAMPLES)]
