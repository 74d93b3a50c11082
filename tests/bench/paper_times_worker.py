"""Times one row in a process of its own: `python -m tests.bench.paper_times_worker JOB` prints its numbers as JSON."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.config import Precision, VAEConfig
from models.data.samples import Samples
from models.inference.encoding import ViewEncoder
from models.inference.pipeline import MVDiffusionPipeline
from models.inference.precision import DTYPES, tensor_float32
from models.network.attention import Kernel
from models.network.attention_kernels import load_kernel
from models.network.image_encoder import build_image_encoder, build_image_processor
from models.network.mask_vae import build_mask_vae
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import Diffusion, build_scheduler
from models.network.recomputed_feed_forward import recompute_feed_forward
from models.network.rounded_norms import round_norms
from models.training.compiled import compile_in_place
from models.training.diffusion import DiffusionTraining
from models.training.throughput import count_tflop, memory_gib
from tasks.config import EncoderConfig
from tests.bench.checkpoints import make_state, restart_seconds, waits_for_thread
from tests.bench.model_worker import DIVISOR, autocast, matmul_tflop_s, network, synchronize, timed
from tests.models.toy_models import NOISE

KEPT_TARGETS = 8
"""Of a training sample (sec. 4.3)."""
TIMED = 3
"""Training steps, of which the fastest counts."""
STATE_GB = {"full": 13.9, "quarter": 0.9, "toy": 0.1}
"""10^9 bytes of weights, average and moments."""


def main() -> None:
    """Read the job from the command line."""
    job = json.loads(sys.argv[1])
    torch.manual_seed(0)
    numbers = WORK[job["work"]](job)
    if "tflop_s" in numbers:
        numbers["share"] = numbers["tflop_s"] / matmul_tflop_s(job["device"])
    numbers["card"] = torch.cuda.get_device_name() if job["device"] == "cuda" else "processor"
    print(json.dumps(numbers))  # noqa: T201 the answer


def sampling(job: dict[str, Any]) -> dict[str, Any]:
    """One photo to views, everything included: image tower, VAE, steps, decoding."""
    unet, device = network(job["width"], job["side"]), job["device"]
    precision: Precision = "bf16" if job["device"] == "cuda" else "fp32"
    dtype = DTYPES[precision]
    encoder = build_image_encoder(tower(job["width"]), seed=0)
    process = build_scheduler(NOISE, job["scheduler"])
    processor = build_image_processor(224 if job["width"] == "full" else 32)
    pipeline = MVDiffusionPipeline(unet.to(dtype=dtype), vae(job["width"]), encoder.to(dtype=dtype), processor, process)
    pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    photo = Image.new("RGBA", (pipeline.resolution, pipeline.resolution), (0, 0, 0, 0))
    side = pipeline.resolution // 4
    photo.paste((200, 60, 60, 255), (side, side, 3 * side, 3 * side))  # a photo whose alpha is its mask
    targets = list(range(job["targets"]))

    def draw(steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        with tensor_float32(device, precision):
            pipeline([photo], num_inference_steps=steps, generator=generator, target_ids=targets)

    first, second = (count_tflop(partial(draw, steps), pipeline.device) for steps in (1, 2))
    tflop = first + (job["steps"] - 1) * (second - first)
    if job.get("compile"):
        compile_in_place(pipeline.unet, graphs=bool(job.get("graphs")))
        draw(2)
    synchronize(device)
    start = time.perf_counter()
    draw(job["steps"])
    synchronize(device)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_gib": memory_gib(torch.device(device)), "tflop_s": tflop / seconds}


def training(job: dict[str, Any]) -> dict[str, Any]:
    """Loss and gradients of a step's objects, per object; once, a compiled gradient is held against the plain one."""
    device = job["device"]
    unet = network(job["width"], job["side"]).to(device).train()
    white = torch.zeros(unet.base.config.out_channels, job["side"], job["side"], device=device)
    nothing: Any = None  # the samples are made here
    trainable = DiffusionTraining(unet, Diffusion(NOISE), nothing, nothing, white)
    batch = random_samples(unet, job["objects"]).to(torch.device(device))
    tflop = count_tflop(partial(step, trainable, batch, device), torch.device(device))
    numbers: dict[str, Any] = {}
    if job.get("rounded_norms"):
        round_norms(unet)
    if job.get("recompute_feed_forward"):
        recompute_feed_forward(unet)
    if job.get("recompute"):
        unet.zero_grad()
        unet.enable_gradient_checkpointing()
    if job.get("compile"):
        plain = gradient(unet)
        unet.zero_grad()
        compile_in_place(unet, layouts=bool(job.get("layouts")))
        step(trainable, batch, device)
        numbers["gradient_error"] = float((gradient(unet) - plain).norm() / plain.norm())
        del plain
    unet.zero_grad()
    per_object = fastest(unet, trainable, batch, device) / job["objects"]
    rate = tflop / job["objects"] / per_object
    return numbers | {"seconds": per_object, "peak_gib": memory_gib(torch.device(device)), "tflop_s": rate}


def attention(job: dict[str, Any]) -> dict[str, Any]:
    """Self-attention of the finest level, forward and backward, of a step's objects, per object.

    Operations are those of the two products forward and twice as many backward, what a kernel computes again left out.
    The gradient of the queries of two views is held against torch's products in float32.
    """
    device = torch.device(job["device"])
    precision: Precision = "bf16" if device.type == "cuda" else "fp32"
    kernel = load_kernel(job["kernel"], device, precision) or scaled_dot_product_attention
    heads, width = 5, 64  # of Stable Diffusion 2
    view = job["side"] ** 2
    shape = (job["objects"], (1 + KEPT_TARGETS) * view, heads, width)
    tokens = [torch.randn(shape, device=device, dtype=DTYPES[precision], requires_grad=True) for _ in range(3)]
    seconds, _ = timed(lambda: attend(kernel, tokens).sum().backward(), job["device"], TIMED)
    tflop = 12 * heads * width * shape[1] ** 2 / 1e12
    few = [each.detach()[:1, : 2 * view].requires_grad_() for each in tokens]
    exact = [each.detach().float().requires_grad_() for each in few]
    found, true = (gradient_of_queries(*pair) for pair in ((kernel, few), (scaled_dot_product_attention, exact)))
    per_object = seconds / job["objects"]
    return {
        "seconds": per_object,
        "peak_gib": memory_gib(device),
        "tflop_s": tflop / per_object,
        "gradient_error": float((found - true).norm() / true.norm()),
    }


def attend(kernel: Kernel, tokens: Sequence[Tensor]) -> Tensor:
    """Compute attention of queries, keys and values (B, S, H, D), as projections leave them in memory."""
    return kernel(*(each.transpose(1, 2) for each in tokens))


def gradient_of_queries(kernel: Kernel, tokens: Sequence[Tensor]) -> Tensor:
    """The gradient of the squared outputs."""
    attend(kernel, tokens).float().square().sum().backward()
    gradient = tokens[0].grad
    assert gradient is not None
    return gradient.float()


def encoding(job: dict[str, Any]) -> dict[str, Any]:
    """All views of an object through VAE and, the condition view, image tower, from decoded pixels."""
    device = job["device"]
    dtype = DTYPES["bf16" if device == "cuda" else "fp32"]
    shape = tower(job["width"])
    encoder = ViewEncoder(
        vae(job["width"]).to(device, dtype).requires_grad_(requires_grad=False),
        build_image_encoder(shape, seed=0).to(device, dtype),
        build_image_processor(shape.image_size),
        batch_size=16,
    )
    side = 8 * job["side"]
    pixels = np.random.default_rng(0).integers(0, 256, (1 + job["targets"], side, side, 4), dtype=np.uint8)

    def encode() -> None:
        encoder.encode("object", pixels[1:], pixels[:1])

    seconds, _ = timed(encode, device, TIMED)
    return {"seconds": seconds, "peak_gib": memory_gib(torch.device(device))}


def checkpoint(job: dict[str, Any]) -> dict[str, Any]:
    """What a training waits for the thread that writes its state, and for reading it again at a restart."""
    state = make_state(STATE_GB[job["width"]], torch.device(job["device"]))
    with tempfile.TemporaryDirectory() as folder:
        waits = waits_for_thread(state, Path(folder))
        return {"seconds": waits["waits"], "restart": restart_seconds(Path(folder), job["device"])}


WORK: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "sampling": sampling,
    "training": training,
    "attention": attention,
    "encoding": encoding,
    "checkpoint": checkpoint,
}
"""By the word of a row."""


def fastest(unet: MultiViewUNet, trainable: DiffusionTraining, batch: Samples, device: str) -> float:
    """Seconds of the fastest of some steps."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    best = float("inf")
    for _ in range(TIMED):
        synchronize(device)
        start = time.perf_counter()
        step(trainable, batch, device)
        synchronize(device)
        best = min(best, time.perf_counter() - start)
        unet.zero_grad()
    return best


def step(trainable: DiffusionTraining, batch: Samples, device: str) -> None:
    """Forward and backward, as the training loop does them."""
    with autocast(device):
        loss = trainable.sample_losses(batch).mean()
    loss.backward()


def gradient(unet: MultiViewUNet) -> Tensor:
    """All gradients as one vector."""
    return torch.cat([weight.grad.flatten() for weight in unet.parameters() if weight.grad is not None])


def random_samples(unet: MultiViewUNet, num_objects: int) -> Samples:
    """Noise in the shape of training samples of one condition and 8 targets."""
    base = unet.base.config
    shape = (num_objects, 1 + KEPT_TARGETS, base.out_channels, base.sample_size, base.sample_size)
    return Samples(
        clean_BVCHW=torch.randn(shape),
        noise_BVCHW=torch.randn(shape),
        condition_BKCHW=torch.randn(shape)[:, :1],
        embeds_BKD=torch.randn(num_objects, 1, base.cross_attention_dim),
        target_ids_BT=torch.stack([torch.randperm(unet.config.num_targets)[:KEPT_TARGETS] for _ in range(num_objects)]),
        timestep_B=torch.randint(0, NOISE.timesteps, (num_objects,)),
        is_dropped_B=torch.zeros(num_objects, dtype=torch.bool),
    )


def vae(width: str) -> AutoencoderKL:
    """Stable Diffusion's, its widths divided."""
    widths = tuple(max(16, channels // DIVISOR[width] // 16 * 16) for channels in (128, 256, 512, 512))
    groups = 32 if width == "full" else 4
    shape = VAEConfig(
        pretrained=None, block_out_channels=widths, layers_per_block=2, latent_channels=4, norm_num_groups=groups
    )
    return build_mask_vae(shape).eval()


def tower(width: str) -> EncoderConfig:
    """CLIP's ViT-H/14, or one that is small enough for a trial."""
    if width == "full":
        sizes = {"image_size": 224, "patch_size": 14, "hidden_size": 1280}
        return EncoderConfig(
            pretrained=None, **sizes, num_hidden_layers=32, num_attention_heads=16, projection_dim=1024
        )
    sizes = {"image_size": 32, "patch_size": 8, "hidden_size": 64}
    dim = 1024 // DIVISOR[width]
    return EncoderConfig(pretrained=None, **sizes, num_hidden_layers=2, num_attention_heads=4, projection_dim=dim)


if __name__ == "__main__":
    main()
