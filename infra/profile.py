"""A profile says where and how fast: workers, device, addresses, limits. Nothing in it changes a result or a hash.

Chosen by the environment variable MVDPP_PROFILE: a name in infra/profiles/ or the path of a YAML file.
"""

from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML

from infra.addresses import require_no_secrets
from infra.machine import available_cpus, available_memory_gb, cuda_capability, num_cuda_gpus, torch_device
from models.config import AttentionKernel, Precision
from models.network.kernel_needs import check_attention_kernel

PROFILES = Path(__file__).parent / "profiles"
BF16_CAPABILITY = (8, 0)
"""First compute capability of CUDA cards with bfloat16 products (Ampere, 2020)."""
CountOrAuto = Annotated[int, Field(ge=1)] | Literal["auto"]


class PromotionGate(BaseModel):
    """What a model must have been measured to be before it becomes the champion (docs/registry.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="mvdpp", pattern=r"^[\w.-]+$")
    """The registered model."""
    metric: str = "psnr"
    """Metric of the report that decides."""
    protocol: str = "sparse"
    """Whose views are scored: sparse, ring or gso."""
    conditions: int = Field(default=1, ge=1)
    """Condition views that the models are given."""
    group: str = "held_out"
    """Test objects: held_out, train, scan or gso."""
    margin: float = Field(default=0.1, ge=0)
    """By how much it must be better than the champion, in units of the metric."""
    threshold: float | None = None
    """What it must reach in any case; null: nothing."""


class Profile(BaseModel):
    """One machine, or one way to use it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: Literal["serial", "ray"]
    """serial: in this process, one item after the other; ray: worker processes that may crash or hang."""
    workers: CountOrAuto
    """Worker processes of the ray pool; auto: as many as processors, `memory_limit_gb` and `worker_gpus` allow."""
    ray_address: str | None
    """Cluster to attach to, such as "auto" or "head:6379"; null: a private Ray that ends with the stage."""
    threads: CountOrAuto
    """Processor threads of the stage's own process; auto: all it may use."""
    device: Literal["auto", "cpu", "cuda"]
    """Where torch computes; auto: the GPU if there is one."""
    render_device: Literal["cpu", "gpu", "optix", "cuda", "hip", "oneapi", "metal"]
    """What Blender computes on; gpu: the fastest kind of card. Never falls back to the processor in silence."""
    worker_gpus: float = Field(ge=0)
    """Share of a GPU that a ray worker reserves; 0.5: two workers to a card. Without one it sees no card, so
    evaluation and mesh fits, which run in workers, compute on the processor. Workers of stages that hold networks
    (`whole_cards` in flows/pipeline.py) have a whole card each where `device` is one, as many as `trainers`."""
    trainers: CountOrAuto
    """Number of ranks: processes that train one model together, on this machine or, with `ray_address`, on the cluster;
    auto: one for each CUDA card, or one."""
    launcher: list[str]
    """Command that starts the ranks: torchrun and its options, such as [torchrun, --nproc-per-node=8]; on several
    machines that see this folder what starts torchrun on each, such as [srun, --nodes=2, --ntasks-per-node=1, torchrun,
    --nnodes=2, --nproc-per-node=8, --rdzv-backend=c10d, --rdzv-endpoint=node0:29500]. `trainers` says how many it
    starts. Empty: torchrun on this machine, or Ray Train with `ray_address`."""
    micro_batch: int | None = Field(ge=1)
    """Images or objects that fit into the device's memory at once in training; null: a whole batch does."""
    vae_micro_batch: int | None = Field(default=None, ge=1)
    """Images that fit at once in the training of the VAE, which is smaller than the UNet; null: `micro_batch`."""
    recompute_levels: list[Annotated[int, Field(ge=0)]]
    """Levels of the UNet, the finest being 0, whose activations are computed again instead of kept: less memory, more
    time (docs/training.md). Any level: the whole VAE too."""
    inference_precision: Literal["auto", "fp32", "bf16"]
    """How the networks compute that draw or encode outside of trainings, which `loop.precision` of params.yaml rules;
    what that changes is bounded (docs/model.md). auto: bf16 on CUDA cards that have it, else fp32."""
    attention_kernel: AttentionKernel = "auto"
    """What computes the UNet's attention where nothing is masked, in trainings and in `sample`: auto, torch's choice,
    which asks cuDNN and flash attention first; cudnn, flash, efficient or math of torch; fa3 or fa4, the FlashAttention
    packages, for cards that they serve (docs/model.md). All compute the same up to rounding."""
    recompute_feed_forward: bool
    """Whether the UNet's feed-forward layers compute their activations again where their level does not anyway: the
    most memory for the least time. The VAE has none."""
    rounded_norms: bool
    """Whether norms under bf16 on a GPU give and keep 16 bits, as they do on a processor, instead of autocast's 32: a
    quarter less memory, results equal up to rounding (models/network/rounded_norms.py)."""
    compile: bool | Literal["auto"]
    """Whether trainings compile the UNet (torch.compile), which needs a C compiler; auto: on CUDA cards where there is
    one, unless `shard_weights` excludes it."""
    shard_weights: bool
    """Whether each of several ranks keeps only its part of the UNet's weights, average and optimizer (FSDP2): for
    cards too small for all of them, at the price of sending the weights around."""
    time_limit: float = Field(gt=0)
    """Seconds for one object in a ray worker; then the worker is killed and the object fails. A shard of objects has
    as many times that (`objects_per_job` in flows/pipeline.py)."""
    recycle_after: int = Field(ge=1)
    """Objects after which a ray worker is replaced by a fresh process; Blender grows."""
    memory_limit_gb: float = Field(gt=0)
    """A ray worker whose resident memory is above this after an object is replaced by a fresh process."""
    tracking_uri: str | None
    """MLflow server or store; null: mlruns/mlflow.db in the project."""
    promote: PromotionGate | None = None
    """Gate of the registry, `python -m flows promote`; with one the flow data-to-model ends with a promotion. null: the
    flow promotes nothing, and the command has the gate's defaults."""
    hub_url: str
    """Where Objaverse lies: http(s)://, s3://, file:// or a folder with the same layout."""
    mirrors: dict[str, str] = Field(default_factory=dict)
    """Where other addresses are read instead, by how they begin: the data sets of a hub, GitHub's files, such as
    {https://huggingface.co/datasets/allenai/objaverse-xl/resolve/main: s3://bucket/xl}. For https://huggingface.co
    stands HF_ENDPOINT where that is set and nothing is said here."""
    latents_url: str | None
    """Where the files of data/latents lie too: s3://, http(s)://, file:// or a folder. Each node then copies a shard to
    its own disk when a training first reads it. null: trainings read data/latents itself."""
    latents_copies: str
    """Folder on each node's own disk for such copies; a relative one lies in the project."""
    store_url: str | None = None
    """Where the files of jobs travel between this machine and the nodes of a cluster that do not see its disk: s3://,
    file:// or a folder that all of them see (docs/cluster.md). null: all nodes see the project's folder."""
    node_folder: str = "mvdpp-node"
    """Folder of each node's own disk for what its jobs read and leave, with `store_url`; a relative one lies in the
    node's folder for temporary files, and its environment variables are expanded."""
    node_folder_gb: float = Field(default=100.0, gt=0)
    """10^9 bytes that a node keeps there of what jobs have read; what was used longest ago goes."""
    s3_endpoint: str | None
    """Address of an S3-compatible server for s3:// paths; null: Amazon's."""
    retries: int = Field(ge=0)
    """Further attempts at a download that broke."""
    connections: int = Field(default=16, ge=1)
    """Connections to one server at once (docs/conventions.md)."""
    disk_reserve_gb: float = Field(default=1.0, ge=0)
    """10^9 bytes of the disk that downloads leave free for everything else."""
    card: str = "H100"
    """Kind of card that `plan --cost` counts with: H200, H100, A100, 4090 or L40."""
    price_core_hour: float | None = Field(default=None, ge=0)
    """Price of a processor core for an hour, where no card computes; null: `plan --cost` leaves money out."""
    price_gpu_hour: float | None = Field(default=None, ge=0)
    """Price of a card for an hour with the cores beside it, in the same currency."""
    price_gb_month: float | None = Field(default=None, ge=0)
    """Price of 10^9 bytes on disk for a month."""

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secrets(cls, content: Any) -> Any:
        require_no_secrets(content, "a profile")
        return content

    @field_validator("worker_gpus")
    @classmethod
    def _is_a_share_or_whole(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError(f"{value:g} graphics cards; write a share of one, or a whole number")
        return value

    @model_validator(mode="after")
    def _can_compute(self) -> Self:
        if self.compile is True and self.shard_weights:
            raise ValueError("compile and shard_weights exclude each other; switch one of them off")
        if self.store_url and (self.pool != "ray" or not self.ray_address):
            raise ValueError(
                f"store_url is {self.store_url}, but no work leaves this machine: name the cluster in ray_address, "
                "with pool: ray, or set store_url to null"
            )
        if self.store_url and self.launcher:
            raise ValueError("launcher needs a disk that all machines see; empty it, or set store_url to null")
        if self.launcher and self.trainers in ("auto", 1):
            raise ValueError(f"trainers is {self.trainers}; say how many processes the launcher starts, at least 2")
        return self


@dataclass(frozen=True)
class Resources:
    """What a profile means on this machine."""

    workers: int
    threads: int
    device: str
    trainers: int
    precision: Literal["fp32", "bf16"]
    compile: bool

    def threads_each(self, num_workers: int) -> int:
        """Return how many threads each of so many workers may use."""
        return max(1, self.threads // num_workers)


def load_profile(name_or_path: str) -> Profile:
    """Read a profile by name (infra/profiles/NAME.yaml) or by path (anything that ends in .yaml).

    Raises ValueError that names the unknown profile or every wrong key.
    """
    is_path = name_or_path.endswith((".yaml", ".yml"))
    path = Path(name_or_path) if is_path else PROFILES / f"{name_or_path}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))
        raise ValueError(
            f"profile {name_or_path!r} does not exist; known are {known}, or give the path of a .yaml file"
        )
    try:
        return Profile.model_validate(YAML(typ="safe").load(path))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"profile {path}: {wrong}; the keys are {', '.join(Profile.model_fields)}") from error


def resolve(profile: Profile) -> Resources:
    """Turn every "auto" of a profile into what this machine, or this container, has.

    Raises ValueError when workers are to share graphics cards of which there are none, when a card has no bf16, or when
    the attention kernel does not serve here.
    """
    cpus = available_cpus()
    fitting = int(available_memory_gb() // profile.memory_limit_gb)
    if profile.worker_gpus and profile.workers == "auto":
        cards = num_cuda_gpus()
        if not cards:
            raise ValueError(
                f"worker_gpus is {profile.worker_gpus:g} and workers is auto, but no CUDA card is seen here; "
                "write worker_gpus: 0, or say how many workers"
            )
        fitting = min(fitting, int(cards / profile.worker_gpus))
    device = torch_device() if profile.device == "auto" else profile.device
    precision = precision_on(device, profile.inference_precision)
    check_kernel_on(device, profile.attention_kernel, precision)
    return Resources(
        workers=max(1, min(cpus, fitting)) if profile.workers == "auto" else profile.workers,
        threads=cpus if profile.threads == "auto" else profile.threads,
        device=device,
        trainers=max(1, num_cuda_gpus() if device == "cuda" else 1) if profile.trainers == "auto" else profile.trainers,
        precision=precision,
        compile=_compiles_on(device, profile) if profile.compile == "auto" else profile.compile,
    )


def precision_on(device: str, asked: Literal["auto", "fp32", "bf16"]) -> Literal["fp32", "bf16"]:
    """Return how the networks compute that draw or encode outside of trainings.

    Args:
        device: torch device, "cpu" or "cuda".
        asked: The profile's `inference_precision`.

    Raises:
        ValueError: bf16 is asked for, but a CUDA card here computes no bfloat16.
    """
    capability = _capability(device)
    if asked == "auto":
        return "bf16" if capability is not None and capability >= BF16_CAPABILITY else "fp32"
    if asked == "bf16" and capability is not None and capability < BF16_CAPABILITY:
        raise ValueError(
            f"inference_precision is bf16, but a CUDA card here has compute capability {capability[0]}.{capability[1]} "
            f"and bfloat16 needs {BF16_CAPABILITY[0]}.{BF16_CAPABILITY[1]}; write inference_precision: fp32, or auto"
        )
    return asked


def check_kernel_on(device: str, kernel: AttentionKernel, precision: Precision) -> None:
    """Raise ValueError when the profile's attention kernel does not serve on a device of this machine."""
    check_attention_kernel(kernel, device, _capability(device), precision)


def _compiles_on(device: str, profile: Profile) -> bool:
    """What `compile: auto` means; the compilers are those that Triton asks for."""
    return device == "cuda" and not profile.shard_weights and any(map(which, ("gcc", "clang")))


def _capability(device: str) -> tuple[int, int] | None:
    return cuda_capability() if device == "cuda" else None
