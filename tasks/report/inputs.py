"""The folders of a finished run that the report is about."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tasks.artifacts.cases import Case, TestSet
from tasks.artifacts.manifest import Kind, Manifest, open_manifest
from tasks.artifacts.views import ViewSet


@dataclass(frozen=True)
class ReportInputs:
    """The folders that the stages made, in the order of the data."""

    catalog: Path
    selected: Path
    objects: Path
    normalized: Path
    views: Path
    validation: Path
    mask_vae: Path
    latents: Path
    stages: Mapping[str, Path]
    """Folder of the trained model per training stage: stage1, stage2, stage3."""
    distilled: Path
    test_views: Path
    gso_eval: Path
    baselines: Path
    samples: Path
    meshes: Path

    def folders(self) -> Iterator[tuple[str, Path, Kind]]:
        """Yield each stage of the pipeline with its folder and what that holds, in the order of the data."""
        yield "catalog", self.catalog, Kind.CATALOG
        yield "select", self.selected, Kind.SELECTED
        yield "download", self.objects, Kind.OBJECTS
        yield "normalize", self.normalized, Kind.PLACEMENTS
        yield "render", self.views, Kind.VIEWS
        yield "validate-views", self.validation, Kind.VALIDATION
        yield "train-vae", self.mask_vae, Kind.MASK_VAE
        yield "encode", self.latents, Kind.LATENTS
        yield from ((f"train-{stage}", path, Kind.DIFFUSION_MODEL) for stage, path in sorted(self.stages.items()))
        yield "distil", self.distilled, Kind.DIFFUSION_MODEL
        yield "render-test", self.test_views, Kind.VIEWS
        yield "gso-eval", self.gso_eval, Kind.VIEWS
        yield "baselines", self.baselines, Kind.BASELINES
        yield "sample", self.samples, Kind.SAMPLES
        yield "reconstruct", self.meshes, Kind.MESHES

    @cached_property
    def view_set(self) -> Callable[[Path], ViewSet]:
        """Opens a folder of views, each once: what was read of its manifest, ledger and index is kept."""
        return cache(ViewSet.open)

    @property
    def test_sets(self) -> dict[TestSet, Path]:
        """Folder of each test set."""
        return {"test_views": self.test_views, "gso_eval": self.gso_eval}

    def truth_of(self, case: Case) -> Path:
        """Return the test set whose views and meshes the case is compared with."""
        return self.test_sets[case.test_set]

    def manifests(self) -> dict[str, Manifest]:
        """Read the manifest of each folder, by stage.

        Raises ValueError for a folder that is not sealed or holds something else.
        """
        return {stage: open_manifest(folder, kind) for stage, folder, kind in self.folders()}
