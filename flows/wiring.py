"""Gives a stage the tools that it asks for (tasks/ports.py), made as the profile says (infra/)."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flows.pipeline import STAGES, WORK
from flows.stage import Stage
from infra.execution.parcels import NodePlace
from infra.execution.ray_pool import Limits, RayPool
from infra.execution.serial_pool import SerialPool
from infra.execution.torchrun import TorchrunLauncher
from infra.execution.transport import Transport
from infra.machine import available_memory_gb, num_cuda_gpus
from infra.profile import Profile, Resources, resolve
from infra.progress import TerminalProgress
from infra.storage.blob_store import BlobStore
from infra.storage.node_cache import NodeCache
from infra.storage.store import RemoteStore
from tasks.outcome import Failed, Outcome
from tasks.ports import ComputeOptions, Launcher, Tools, Tracker


@dataclass(frozen=True)
class Hub:
    """The hub of models and data sets."""

    url: str = "https://huggingface.co"
    token: str | None = None
    """Of the account that asks; None: nobody's. It is also sent to `hub_url` of the profile."""


NOBODY = Hub()


@dataclass(frozen=True)
class Workload:
    """What the workers of a command do, as far as it decides how many there are and how long they may take.

    The fields are those of `flows.stage.Stage`, which says the same of a stage.
    """

    whole_cards: bool
    objects_per_job: int


@contextmanager
def open_tools(
    stage: str,
    profile: Profile,
    tracker: Tracker,
    root: Path,
    hub: Hub = NOBODY,
    workload: Workload | None = None,
) -> Iterator[Tools]:
    """Open the tools of one stage or command; what they hold (Ray, worker processes) is given back at the end.

    Args:
        stage: Its name, which names its folder for unfinished work.
        profile: Where and how fast it runs.
        tracker: The MLflow run of a stage.
        root: The checkout.
        hub: The hub of models and data sets, and who asks there.
        workload: What a command's workers do; None: `stage` is one of STAGES, which says it.
    """
    profile, resources = _for_workload(workload or STAGES[stage], profile)
    work = root / WORK / stage
    work.mkdir(parents=True, exist_ok=True)
    disk_reserve = int(profile.disk_reserve_gb * 1e9)
    store = RemoteStore(
        s3_endpoint_url=profile.s3_endpoint,
        attempts=profile.retries + 1,
        token=hub.token,
        token_urls=(hub.url, profile.hub_url),
        connections=profile.connections,
        disk_reserve=disk_reserve,
        mirrors={Hub.url: hub.url} | profile.mirrors,
    )
    with closing(store), open_pool(profile, resources, work / "logs") as pool:
        transport = pool.transport if isinstance(pool, RayPool) else None
        yield Tools(
            pool=pool,
            progress=TerminalProgress(),
            tracker=tracker,
            store=store,
            work=work,
            threads=resources.threads,
            device=resources.device,
            worker_device=worker_device(profile, resources),
            render_device=profile.render_device,
            hub_url=profile.hub_url,
            memory_gib=available_memory_gb(),
            disk_reserve=disk_reserve,
            precision=resources.precision,
            compute=ComputeOptions(
                micro_batch=profile.micro_batch,
                vae_micro_batch=profile.vae_micro_batch,
                recompute_levels=tuple(profile.recompute_levels),
                attention_kernel=profile.attention_kernel,
                recompute_feed_forward=profile.recompute_feed_forward,
                rounded_norms=profile.rounded_norms,
                compile=resources.compile,
                shard_weights=profile.shard_weights,
            ),
            latent_cache=_latent_cache(profile, resources, transport),
            launcher=_launcher(profile, resources, transport),
        )


def open_pool(
    profile: Profile, resources: Resources, log_dir: Path
) -> AbstractContextManager[RayPool[Outcome] | SerialPool[Outcome]]:
    """Open the workers that the profile asks for; they end with the context. `log_dir` takes their logs."""
    return closing(_pool(profile, resources, log_dir))


def _for_workload(workload: Workload | Stage, profile: Profile) -> tuple[Profile, Resources]:
    """Return the profile as it holds for one stage or command, and what it means on this machine.

    Where the workers take whole cards, there are as many as cards, which `trainers` counts; they are not
    replaced for their memory or age, since networks do not grow as Blender does and take long to load.
    """
    resources = resolve(profile)
    changes: dict[str, object] = {"time_limit": profile.time_limit * workload.objects_per_job}
    if workload.whole_cards and profile.pool == "ray" and resources.device == "cuda":
        here = resources.trainers if profile.ray_address else min(resources.trainers, num_cuda_gpus())
        resources = replace(resources, workers=max(1, here))
        changes |= {"worker_gpus": 1.0, "memory_limit_gb": float("inf"), "recycle_after": sys.maxsize}
    return profile.model_copy(update=changes), resources


def worker_device(profile: Profile, resources: Resources) -> str:
    """Return the torch device of the pool's workers: a ray worker sees no card but the share that it reserves."""
    return resources.device if profile.pool == "serial" or profile.worker_gpus else "cpu"


def _latent_cache(
    profile: Profile, resources: Resources, transport: Transport[Outcome] | None
) -> NodeCache | Transport[Outcome] | None:
    if profile.latents_url is None:
        return transport if resources.trainers > 1 else None
    return NodeCache(
        url=profile.latents_url,
        folder=Path(profile.latents_copies).absolute(),
        s3_endpoint_url=profile.s3_endpoint,
        attempts=profile.retries + 1,
    )


def _launcher(profile: Profile, resources: Resources, transport: Transport[Outcome] | None) -> Launcher:
    if profile.launcher or profile.ray_address is None:
        return TorchrunLauncher(resources.trainers, profile.launcher)
    from infra.execution.ray_train import RayTrainLauncher  # importing Ray Train takes seconds that most stages save

    return RayTrainLauncher(
        resources.trainers,
        address=profile.ray_address,
        use_gpu=resources.device == "cuda",
        transport=transport,
    )


def _pool(profile: Profile, resources: Resources, log_dir: Path) -> RayPool[Outcome] | SerialPool[Outcome]:
    if profile.pool == "serial":
        return SerialPool(failed=Failed)
    limits = Limits(
        time_limit=profile.time_limit,
        recycle_after=profile.recycle_after,
        memory_limit_gb=profile.memory_limit_gb,
        worker_gpus=profile.worker_gpus,
    )
    return RayPool(
        failed=Failed,
        workers=resources.workers,
        limits=limits,
        log_dir=log_dir,
        address=profile.ray_address,
        transport=_transport(profile),
    )


def _transport(profile: Profile) -> Transport[Outcome] | None:
    if profile.store_url is None:
        return None
    store = BlobStore(profile.store_url, profile.s3_endpoint, attempts=profile.retries + 1)
    return Transport(NodePlace(store, profile.node_folder, int(profile.node_folder_gb * 10**9)), failed=Failed)
