"""What the report is about: every sealed folder of the run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.artifacts.atomic import read_json
from tasks.artifacts.manifest import MANIFEST, Manifest


@dataclass(frozen=True)
class ReportInputs:
    """The folders that the stages made, in the order of the data."""

    catalog: Path
    selected: Path
    objects: Path
    normalized: Path
    views: Path
    mask_vae: Path
    stages: Mapping[str, Path]
    """stage1.. -> folder of the trained model."""
    test_views: Path
    samples: Path
    meshes: Path

    def folders(self) -> Iterator[tuple[str, Path]]:
        """(stage of the pipeline, folder), in the order of the data."""
        yield from (("catalog", self.catalog), ("select", self.selected), ("download", self.objects))
        yield from (("normalize", self.normalized), ("render", self.views), ("train-vae", self.mask_vae))
        yield from ((f"train-{stage}", folder) for stage, folder in sorted(self.stages.items()))
        yield from (("render-test", self.test_views), ("sample", self.samples), ("reconstruct", self.meshes))

    def manifests(self) -> dict[str, Manifest]:
        """The manifest of each folder.

        Raises ValueError for a folder that was not sealed.
        """
        return {stage: _read_manifest(folder) for stage, folder in self.folders()}


def _read_manifest(folder: Path) -> Manifest:
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} has no {MANIFEST}: the stage that makes it did not finish; run `dvc repro`")
    return Manifest(**read_json(folder / MANIFEST))
