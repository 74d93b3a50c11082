"""The data that runs share: a project of its own for every data recipe, made once by `dvc repro`."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.params import Params
from flows.pipeline import GSO_EVAL, LATENTS, MASK_VAE, TEST_VIEWS
from infra.execution.processes import ProcessGroup
from infra.profile import Profile
from infra.versioning import Repository, out_hashes, repro_command
from tasks.artifacts.atomic import write_bytes
from tests.project_copy import copy_project

TARGETS = {"train-vae": MASK_VAE, "encode": LATENTS, "render-test": TEST_VIEWS, "gso-eval": GSO_EVAL}
PROFILE, LOG = "profile.yaml", "log.txt"


@dataclass(frozen=True)
class Data:
    """What a training reads and its samples are compared with."""

    project: Path

    @property
    def latents(self) -> Path:
        """Sealed set of latents."""
        return self.project / LATENTS

    @property
    def vae(self) -> Path:
        """The mask-aware VAE."""
        return self.project / MASK_VAE

    @property
    def test_views(self) -> Path:
        """The rendered test set."""
        return self.project / TEST_VIEWS

    @property
    def gso_eval(self) -> Path:
        """The test set of SyncDreamer's pictures, which may be empty."""
        return self.project / GSO_EVAL

    @property
    def hashes(self) -> Mapping[str, str]:
        """DVC's hash of the content of each, by absolute path."""
        return {
            (self.project / path).as_posix(): value
            for stage in TARGETS
            for path, value in out_hashes(self.project, stage).items()
        }


def make_data(project: Path, params: Params, profile: Profile, like: Path | None) -> Data:
    """Make the data of a recipe, or go on where it was left.

    Args:
        project: Folder of the project.
        params: Their data sections count.
        profile: Where and how fast.
        like: A finished project of another recipe, of which everything that does not change is taken over.

    Raises RuntimeError when a stage fails.
    """
    if not (project / "params.yaml").exists():
        shutil.rmtree(project, ignore_errors=True)
        part = project.with_name(f".{project.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        if like is None:
            copy_project(part)
        else:
            shutil.copytree(like, part, symlinks=True, ignore=shutil.ignore_patterns("mlruns", ".work"))
        part.rename(project)
    write_bytes(project / "params.yaml", yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False).encode())
    write_bytes(project / PROFILE, yaml.safe_dump(profile.model_dump(mode="json")).encode())
    Repository(project).await_others()
    with ExitStack() as stack:
        log = stack.enter_context((project / LOG).open("a"))
        env = {"MVDPP_PROFILE": str(project / PROFILE)}
        command = [*repro_command(None), *TARGETS]
        if stack.enter_context(ProcessGroup(command, root=project, env=env, output=log)).wait():
            raise RuntimeError(f"the data could not be made; the last words of dvc repro are in {project / LOG}")
    return Data(project)
