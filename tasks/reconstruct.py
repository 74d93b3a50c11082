"""Stage reconstruct: a coloured mesh from the 32 sampled views of each test object (sec. 5.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.config import ReconstructConfig
from models.reconstruction.mesh import write_ply
from models.reconstruction.surface import reconstruct_views
from tasks.artifacts.atomic import atomic_file
from tasks.artifacts.cases import sampled_cases
from tasks.artifacts.manifest import MANIFEST, MAX_FAILED_SHARE, Kind, check_failed_share, open_manifest, seal
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.views import ViewSet, files_of_object, target_views
from tasks.outcome import Done, Outcome, Rejected
from tasks.ports import Tools, collect


@dataclass(frozen=True)
class ReconstructJob:
    """The sampled views of one object in one case, to make a mesh of."""

    case: str
    object_uid: str
    folder: Path
    """The case's view set."""
    config: ReconstructConfig
    seed: int
    out: Path
    threads: int
    device: str

    @property
    def uid(self) -> str:
        """Case and object: one object has a mesh in every case."""
        return f"{self.case}/{self.object_uid}"

    @property
    def reads(self) -> Sequence[Path]:
        """The object's sampled views."""
        return files_of_object(self.folder, self.object_uid)

    @property
    def writes(self) -> Sequence[Path]:
        """The mesh."""
        return (self.out,)


def reconstruct_samples(samples: Path, config: ReconstructConfig, seed: int, out: Path, tools: Tools) -> None:
    """Write `out/<case>/<uid>.ply` for every sampled object; views that enclose nothing are rejected with a reason.

    Args:
        samples: Sealed folder of samples.
        config: The section `reconstruct`.
        seed: For methods that start from random numbers.
        out: Becomes the sealed folder of meshes.
        tools: Of the stage.

    Raises RuntimeError when more than a fifth of the meshes fail.
    """
    manifest = open_manifest(samples, Kind.SAMPLES)
    (out / MANIFEST).unlink(missing_ok=True)
    cases = [case.name for case in sampled_cases(samples)]
    if config.method == "sdf" and tools.worker_device != tools.device:
        tools.progress.note("reconstruct: workers have no graphics card (worker_gpus in the profile), so fits are slow")
    jobs = list(_list_jobs(samples, cases, config, seed, out, tools))
    outcomes = collect(tools.pool, tools.progress, "reconstruct", reconstruct_object, jobs)
    check_failed_share("reconstruct", outcomes, MAX_FAILED_SHARE)
    seal(out, Kind.MESHES, config=config, inputs={"samples": manifest.fingerprint}, outcomes=outcomes)


def _list_jobs(
    samples: Path, cases: list[str], config: ReconstructConfig, seed: int, out: Path, tools: Tools
) -> Iterator[ReconstructJob]:
    for case in cases:
        for uid in ViewSet.open(samples / case).uids:
            path = out / case / f"{uid}.ply"
            yield ReconstructJob(
                case, uid, samples / case, config, seed, path, tools.worker_threads, tools.worker_device
            )


def reconstruct_object(job: ReconstructJob) -> Outcome:
    """Make one mesh; runs in a worker."""
    torch.set_num_threads(job.threads)
    views = target_views(ViewSet.open(job.folder), job.object_uid, with_normals=job.config.normal_weight > 0)
    mesh = reconstruct_views(views, job.config, seed_of(job.seed, "reconstruct", job.uid), job.device)
    if mesh is None:
        needed = "enough" if job.config.vote == "auto" else f"{job.config.vote:.0%}"
        return Rejected(
            job.uid, f"the visual hull is empty: no point is foreground in {needed} of the {len(views.rgba)} views"
        )
    with atomic_file(job.out) as part:
        write_ply(mesh, part)
    return Done(job.uid, {"vertices": len(mesh.vertices), "faces": len(mesh.faces)})
