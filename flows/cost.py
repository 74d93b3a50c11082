"""Hours, disk and money of a run, stage by stage, from params, profile and rates alone, without data or network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from flows.params import Params
from flows.utilization import pool_busy, ranks_busy
from infra.machine import available_cpus, num_cuda_gpus
from infra.profile import Profile
from infra.rates import Rates
from models.config import LoopConfig, StageConfig, UNetConfig, VAEConfig
from models.training.distillation import PASSES
from models.training.operations import NetworkOperations, embedding_tflop
from models.training.throughput import peak_of
from render.quality import NAMED
from tasks.artifacts.cases import DISTILLED
from tasks.baselines import plan_baselines
from tasks.encode import DECODE_THREADS
from tasks.sample import asked_cases
from tasks.sources.procedural.source import ProceduralSource

HOUR = 3600.0
HOURS_PER_MONTH = 730.0
THREADS_PER_WORKER = 2
CHECKPOINT_BYTES = 16
"""Bytes of a parameter in a checkpoint: weight, average and both moments of AdamW in float32."""
CHECKPOINTS = 3
"""Kept by a training: the newest two and the best."""


@dataclass(frozen=True)
class Machines:
    """What a run has."""

    cores: int
    """Processor cores that render and, without cards, compute networks."""
    cards: int
    """Graphics cards; 0: networks compute on the processor."""
    card: str
    """Name in models.training.throughput.PEAKS."""


@dataclass(frozen=True)
class CostRow:
    """What one stage costs."""

    stage: str
    work: str
    hours: float | None
    """None: not known."""
    disk_gb: float = 0.0
    """10^9 bytes that it leaves, DVC's cache not counted."""
    busy: float = 1.0
    """Mean share at work of the run's cores, or of its cards where the stage computes on them."""
    cores: int = 0
    """Cores that it has."""
    cards: int = 0
    """Cards that it has."""
    money: float | None = None
    """In the currency of the profile's prices; None where they are not known."""


def machines_of(profile: Profile, *, cores: int | None = None, cards: int | None = None) -> Machines:
    """Return the machines of a profile, or as many cores and cards as given.

    "auto" means those of this machine; a profile of cards has at least one.
    """
    if cores is None:
        cores = available_cpus() if profile.workers == "auto" else THREADS_PER_WORKER * profile.workers
    if cards is None:
        seen = 0 if profile.device == "cpu" else num_cuda_gpus()
        cards = max(1, seen) if profile.trainers == "auto" else profile.trainers
        if not seen and profile.device != "cuda":
            cards = 0
    return Machines(cores, cards, profile.card)


def count_costs(params: Params, machines: Machines, profile: Profile, rates: Rates) -> list[CostRow]:
    """Return one row for each stage, in running order.

    Args:
        params: What is to be done.
        machines: On what.
        profile: Its prices.
        rates: How fast, and how large.

    Raises:
        ValueError: The number of objects, the speed of a card or that of a quality is not known.
    """
    rows = list(Costs(params, machines, rates).rows())
    prices = (profile.price_core_hour, profile.price_gpu_hour, profile.price_gb_month)
    if None in prices:
        return rows
    core_hour, gpu_hour, gb_month = (price for price in prices if price is not None)
    priced, hours_left = [], sum(row.hours or 0.0 for row in rows)
    for row in rows:
        if row.hours is None:
            priced.append(row)
            continue
        work = row.hours * (row.cards * gpu_hour if row.cards else row.cores * core_hour)
        kept = row.disk_gb * gb_month * hours_left / HOURS_PER_MONTH  # from the stage's beginning to the run's end
        priced.append(replace(row, money=work + kept))
        hours_left -= row.hours
    return priced


class Costs:
    """Counts the stages of one run."""

    def __init__(self, params: Params, machines: Machines, rates: Rates) -> None:
        self.params, self.machines, self.rates = params, machines, rates
        self.objects = num_objects(params, rates)
        self.networks = networks_of(params)
        self.targets = self.networks.num_targets
        self.views = self.targets + params.render.conditions
        self.test_objects = int(rates.test_objects.value)
        if params.render_test.source == "catalog":
            self.test_objects = params.render_test.train_objects + params.render_test.held_out_objects

    def rows(self) -> Iterator[CostRow]:
        """Yield one row for each stage, in running order."""
        yield self._alone("catalog", None)
        yield self._alone("select", None)
        yield self._download()
        seconds = self.objects * self.rates.normalize_seconds_per_object.value
        yield self._in_pool("normalize", f"{self.objects:,} objects", [1.0] * self.objects, seconds)
        yield self._render()
        yield self._validate()
        yield self._train_vae()
        yield self._encode()
        for stage in ("stage1", "stage2", "stage3"):
            yield self._train(stage, getattr(self.params, f"train_{stage}"))
        if self.params.distil.steps is not None:
            yield self._distil()
        yield self._render_test()
        scans = self.test_objects if self.reads_scans else 0
        yield self._in_pool("gso-eval", f"{scans:,} objects", [1.0] * scans)
        baselines = self.test_objects * len(plan_baselines(self.params.baselines, self.targets))
        yield self._in_pool("baselines", f"{baselines:,} reconstructions", [1.0] * baselines)
        yield self._sample()
        drawn = self.test_objects * len(self.drawn_cases)
        yield self._in_pool("reconstruct", f"{drawn:,} meshes", [1.0] * drawn)
        yield self._in_pool("evaluate", f"{drawn + baselines:,} results", [1.0] * (drawn + baselines))

    def _download(self) -> CostRow:
        rates, remote = self.rates, self.params.catalog.source == "objaverse"
        gigabytes = self.objects * rates.object_mb.value / 1e3 if remote else 0.0
        seconds = 1e3 * gigabytes / rates.download_mb_per_second.value
        asking = self.objects / rates.download_requests_per_second.value if remote else 0.0
        return replace(self._alone("download", max(seconds, asking) / HOUR), disk_gb=gigabytes)

    def _render(self) -> CostRow:
        side, views = self.params.render.resolution, self.objects * self.views
        spread = np.random.default_rng(0).lognormal(sigma=self.rates.render_spread.value, size=self.objects)
        seconds = views * self.seconds_per_view(side)
        row = self._in_pool("render", f"{views:,} views of {side} px", spread.tolist(), seconds)
        return replace(row, disk_gb=views * self._view_gb(side))

    def _validate(self) -> CostRow:
        megapixels = self.objects * self.params.validate_views.views_each * self.params.render.resolution**2 / 1e6
        shards = -(-self.objects // self.params.render.objects_per_shard)
        seconds = megapixels * self.rates.decode_seconds_per_megapixel.value
        return self._in_pool("validate-views", f"{self.objects:,} objects", [1.0] * shards, seconds)

    def _render_test(self) -> CostRow:
        test, side = self.params.render_test, self.params.render.resolution
        ring = test.ring_resolution or side
        per_object = [(self.targets + test.conditions, side), (test.ring_views, ring)]
        seconds = sum(count * self.seconds_per_view(pixels) for count, pixels in per_object)
        size = sum(count * self._view_gb(pixels) for count, pixels in per_object)
        views, count = sum(number for number, _ in per_object), self.test_objects
        row = self._in_pool("render-test", f"{count * views:,} views", [1.0] * count, count * seconds)
        return replace(row, disk_gb=count * size)

    def _train_vae(self) -> CostRow:
        config = self.params.train_vae
        tflop = config.loop.samples * self.networks.train_vae(config.crop or self.params.render.resolution)
        disk = self.networks.vae_parameters * (CHECKPOINTS * CHECKPOINT_BYTES + 4) / 1e9
        busy = pool_busy([1.0] * config.loop.batch_size, self.ranks)
        return self._networks("train-vae", f"{config.loop.samples:,} images", tflop, disk, busy)

    def _encode(self) -> CostRow:
        views, tower = self.objects * self.views, self.params.encode.image_encoder
        conditions = self.objects * self.params.render.conditions
        embedding = embedding_tflop(tower.model_copy(update={"pretrained": None}))
        tflop = views * self.networks.encode() + conditions * embedding
        latent = 4 * self.params.train_vae.vae.latent_channels * self.networks.latent_side**2  # mean, variance, 16 bits
        disk = (views * latent + conditions * 2 * tower.projection_dim) / 1e9
        shards = -(-self.objects // self.params.render.objects_per_shard)
        busy = pool_busy([1.0] * shards, self.network_workers)
        row = self._networks("encode", f"{views:,} views", tflop, disk, busy)
        assert row.hours is not None, "counted"
        reading = views * self.params.render.resolution**2 / 1e6 * self.rates.decode_seconds_per_megapixel.value / HOUR
        if row.cards:
            return replace(row, hours=max(row.hours, reading / (DECODE_THREADS * row.cards)))  # beside the card
        return replace(row, hours=row.hours + reading / row.cores)

    def _train(self, stage: str, config: StageConfig) -> CostRow:
        disk = self.networks.unet_parameters * (CHECKPOINTS * CHECKPOINT_BYTES + 8) / 1e9  # averaged and newest weights
        return self._train_unet(f"train-{stage}", config, config.loop, 1.0, disk)

    def _distil(self) -> CostRow:
        disk = self.networks.unet_parameters * (CHECKPOINTS * CHECKPOINT_BYTES + 4) / 1e9  # averaged weights alone
        return self._train_unet("distil", self.params.train_stage3, self.params.distil.loop, PASSES, disk)

    def _train_unet(self, stage: str, config: StageConfig, loop: LoopConfig, passes: float, disk_gb: float) -> CostRow:
        """A row of a training of the UNet that draws samples as a stage does, each `passes` times as much work."""
        shares = config.condition_shares
        costs = {count: self.networks.train_unet(count, config.kept_targets) for count in shares}
        tflop = loop.samples * passes * sum(share * costs[count] for count, share in shares.items())
        drawn_so = config.model_copy(update={"loop": loop})
        busy = ranks_busy(drawn_so, costs, self.ranks, self.params.render.conditions)
        return self._networks(stage, f"{loop.samples:,} samples", tflop, disk_gb, busy)

    def _sample(self) -> CostRow:
        passes = 1 if self.params.sample.guidance == 1 else 2
        costs = [
            passes * steps * self.networks.denoise(count, self.targets) + self.targets * self.networks.decode()
            for count, steps in self.drawn_cases
        ]
        drawn = self.test_objects * len(costs)
        in_order = [cost for cost in costs for _ in range(self.test_objects)]
        busy = pool_busy(in_order, self.network_workers)
        disk = drawn * self.targets * self._view_gb(self.params.render.resolution)
        return self._networks("sample", f"{drawn:,} x {self.targets} views", sum(in_order), disk, busy)

    @property
    def ranks(self) -> int:
        """Processes that train together: one for each card, or one."""
        return max(1, self.machines.cards)

    @property
    def workers(self) -> int:
        """Of the pool, where no card computes."""
        return max(1, self.machines.cores // THREADS_PER_WORKER)

    @property
    def network_workers(self) -> int:
        """Of the pool in stages whose workers hold networks: one for each card, where there are any."""
        return self.machines.cards or self.workers

    @property
    def reads_scans(self) -> bool:
        """Whether the test set gso is there too, which a plan without data can only guess from the other's source."""
        return self.params.render_test.source == "folder"

    @property
    def drawn_cases(self) -> list[tuple[int, int]]:
        """Number of condition views and of steps in each case of the test."""
        config, distilled = self.params.sample, self.params.distil.steps or 0
        return [
            (case.conditions, distilled if case.method == DISTILLED else config.steps)
            for case in asked_cases(config)
            if case.protocol != "gso" or self.reads_scans
        ]

    def seconds_per_view(self, side: int) -> float:
        """Return the core seconds of one rendered view of `side` pixels."""
        factors = {
            "draft": self.rates.render_draft.value,
            "standard": 1.0,
            "reference": self.rates.render_reference.value,
        }
        name = next((name for name, quality in NAMED.items() if quality == self.params.render.quality), None)
        if name is None:
            raise ValueError(
                f"render.quality is {self.params.render.quality!r}, whose cost is not measured; "
                f"write {', '.join(factors)}"
            )
        overhead = self.rates.render_overhead_per_view.value
        at_512 = self.rates.render_seconds_per_view.value * factors[name]
        return overhead + (at_512 - overhead) * (side / 512) ** 2

    def _view_gb(self, side: int) -> float:
        return side**2 * self.rates.view_bytes_per_pixel.value / 1e9

    def _alone(self, stage: str, hours: float | None) -> CostRow:
        """A row of one process that runs everything itself."""
        return CostRow(stage, f"{self.objects:,} objects", hours, busy=1 / self.machines.cores, cores=1)

    def _in_pool(self, stage: str, work: str, costs: Sequence[float], core_seconds: float | None = None) -> CostRow:
        """A row of jobs on all cores, in the order in which free workers take them; costs in any unit."""
        busy, cores = pool_busy(costs, self.workers), self.machines.cores
        hours = None if core_seconds is None else core_seconds / (busy * cores) / HOUR
        return CostRow(stage, work, hours, busy=busy, cores=cores)

    def _networks(self, stage: str, work: str, tflop: float, disk_gb: float, busy: float) -> CostRow:
        """A row of work for the cards, or for the cores of one machine where there are none."""
        work = f"{work}, {f'{tflop / 1e6:,.3g} EFLOP' if tflop >= 1e4 else f'{tflop:,.3g} TFLOP'}"
        cores, cards = self.machines.cores, self.machines.cards
        if not cards:
            seconds = tflop / (self.rates.core_tflop_per_second.value * cores * busy)
            return CostRow(stage, work, seconds / HOUR, disk_gb, busy, cores=cores)
        peak = peak_of(self.machines.card)
        if peak is None:
            raise ValueError(
                f"card is {self.machines.card!r}, whose peak is not known; write H200, H100, A100, 4090 or L40"
            )
        seconds = tflop / (cards * busy * peak * self.rates.card_utilization.value)
        return CostRow(stage, work, seconds / HOUR, disk_gb, busy, cards=cards)


def networks_of(params: Params) -> NetworkOperations:
    """Return the networks that the params describe, to count their operations or parameters."""
    render = params.render
    assert params.train_stage1.unet is not None, "Params has refused it"
    geometry = (
        ("azimuths", render.azimuths),
        ("elevations_deg", render.elevations_deg),
        ("fov_deg", render.fov_deg),
        ("distance", render.distance),
    )
    return _networks(params.train_vae.vae, params.train_stage1.unet, render.resolution, geometry)


@lru_cache(maxsize=4)
def _networks(vae: VAEConfig, unet: UNetConfig, side: int, geometry: tuple[tuple[str, Any], ...]) -> NetworkOperations:
    """Return the same networks for the same description, since they remember what they have counted."""
    return NetworkOperations(vae=vae, unet=unet, side=side, geometry=dict(geometry))


def num_objects(params: Params, rates: Rates) -> int:
    """Return how many objects are kept, at most.

    Raises ValueError for a folder whose objects no limit counts.
    """
    source, held = params.catalog.source, None
    if source == "objaverse":
        held = int(rates.objaverse_objects.value)
    elif source == "procedural":
        entries = ProceduralSource(params.catalog, params.seed).listing().entries
        held = sum(entry.score is None or entry.score >= params.select.min_score for entry in entries)
    known = [number for number in (held, params.select.max_objects, params.catalog.max_objects) if number is not None]
    if not known:
        raise ValueError(
            f"catalog.source is {source} and neither select.max_objects nor catalog.max_objects says how many objects "
            "it has; set one of them in the params file to count the cost"
        )
    return min(known)
