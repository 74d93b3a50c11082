"""Stage sample: all target views of every test object, sampled with each training stage's model.

The methods of its cases are the training stages and what was distilled; how one is sampled says
`tasks.evaluation.sampling`.
"""

from collections.abc import Mapping
from pathlib import Path

from tasks.artifacts.cases import SEVERAL_VIEWS, Case, TestSet
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.views import ViewSet
from tasks.config import SampleConfig
from tasks.evaluation.sampling import cases_of, sample_cases, with_views
from tasks.ports import Tools


def sample_test_sets(
    test_views: Path,
    gso_eval: Path,
    stages: Mapping[str, Path],
    config: SampleConfig,
    seed: int,
    out: Path,
    tools: Tools,
) -> None:
    """Sample every test object in every case: a folder of views per case, listed in the manifest's facts (sec. 6).

    Args:
        test_views: Sealed set of test views, whose condition views the models are given.
        gso_eval: Sealed set of SyncDreamer's pictures, which may be empty.
        stages: Model folder of each training stage and of the distilled model.
        config: The section `sample`.
        seed: For the initial noise, which is the same in all cases of an object.
        out: Becomes the sealed folder of samples.
        tools: Of the stage.

    Raises ValueError when the test sets have no view of the protocols asked for, RuntimeError when an object fails;
    what was sampled stays.
    """
    folders: dict[TestSet, Path] = {"test_views": test_views, "gso_eval": gso_eval}
    sets = {name: ViewSet.open(folder) for name, folder in folders.items()}
    inputs: dict[str, str] = {name: views.manifest.fingerprint for name, views in sets.items()}
    inputs |= {stage: open_manifest(folder, Kind.DIFFUSION_MODEL).fingerprint for stage, folder in stages.items()}
    sample_cases(plan_cases(config, sets), sets, stages, config, seed, out, tools, inputs)


def asked_cases(config: SampleConfig) -> list[Case]:
    """List the cases that are asked for, whatever the test sets have.

    In the protocol sparse, stage 3 and what was distilled from it are given every number of condition views and the
    single-view stages one; in the other protocols all are given one.
    """
    return [
        case
        for stage in config.stages
        for case in cases_of(stage, config, config.conditions if stage in SEVERAL_VIEWS else (1,))
    ]


def plan_cases(config: SampleConfig, sets: Mapping[TestSet, ViewSet]) -> list[Case]:
    """List the cases that are asked for and that the test sets have views for.

    Raises ValueError when there is none.
    """
    return with_views(asked_cases(config), config, sets)
