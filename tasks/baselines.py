"""Stage baselines: what reconstruction makes of true views, without any generative model (sec. 5.2, Table 2).

A case is (method, sparse protocol, number of given views). Each leaves a mesh per object, and the views that the
protocol's scored cameras take of it, in the form in which everybody's predictions are scored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.config import ReconstructConfig
from models.reconstruction.structure_from_motion import LEAST_VIEWS, PACKAGE, has_structure_from_motion
from render.views import ViewKind
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import MESHES, VIEWS, Case
from tasks.artifacts.content import work_key
from tasks.artifacts.manifest import MANIFEST, MAX_FAILED_SHARE, Kind, check_failed_share, seal
from tasks.artifacts.resume import ItemStore, run_resumable
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.views import MESH, ViewSet, seal_views
from tasks.config import BaselinesConfig
from tasks.evaluation.baseline_objects import BaselineJob, make_baseline
from tasks.outcome import Done, Outcome
from tasks.ports import Tools


def make_baselines(
    test_views: Path, config: BaselinesConfig, reconstruct: ReconstructConfig, seed: int, out: Path, tools: Tools
) -> None:
    """Write `out/views` and `out/meshes`: a case for each method and number of condition views (sec. 5.2).

    Args:
        test_views: Sealed set of test views.
        config: The section `baselines`.
        reconstruct: The section `reconstruct`: true views are reconstructed as samples are.
        seed: For methods that start from random numbers.
        out: Becomes the sealed folder of baselines.
        tools: Of the stage.

    Raises RuntimeError when more than a fifth of the reconstructions fail.
    """
    views = ViewSet.open(test_views)
    (out / MANIFEST).unlink(missing_ok=True)
    cases = plan_baselines(config, len(views.names(views.uids[0], ViewKind.TARGET)))
    if "sfm" in config.methods and not has_structure_from_motion():
        cases = [case for case in cases if case.method != "sfm"]
        tools.progress.note(
            f"baselines: sfm is left out, because {PACKAGE} is not installed; install it (pip install '.[sfm]') and "
            "run the stage again with `dvc repro --force --single-item baselines`"
        )
    folder = tools.work / work_key(config, reconstruct, seed, reads={"test_views": test_views}, tools=tools)
    stores = CaseStores({case.name: ItemStore(folder / case.name) for case in cases})
    groups = views.facts("group")
    jobs = [
        BaselineJob(
            case=case,
            object_uid=uid,
            group=str(groups[uid]),
            test_views=test_views,
            reconstruct=reconstruct,
            seed=seed,
            item=stores.by_case[case.name].path(uid),
            threads=tools.worker_threads,
            device=tools.worker_device,
        )
        for case in cases
        for uid in views.uids
    ]
    outcomes = run_resumable("baselines", make_baseline, jobs, tools, folder, stores)
    check_failed_share("baselines", outcomes, MAX_FAILED_SHARE)
    _seal(out, cases, outcomes, stores, config, {"test_views": views.manifest.fingerprint, "recipe": folder.name})


def plan_baselines(config: BaselinesConfig, num_targets: int) -> list[Case]:
    """List the cases: every method with every number of condition views, the upper bound with all target views."""
    cases = []
    for method in config.methods:
        if method == "upper-bound":
            cases.append(Case(method, "sparse", num_targets))
        else:
            least = LEAST_VIEWS if method == "sfm" else 1
            cases += [Case(method, "sparse", count) for count in config.conditions if count >= least]
    return cases


@dataclass(frozen=True)
class CaseStores:
    """The finished items of all cases; an item is named `<case>/<uid>`."""

    by_case: Mapping[str, ItemStore]

    def has(self, uid: str, key: str) -> bool:  # noqa: ARG002 - case and object name an item of this folder
        """Whether the item need not be made again."""
        case, _, object_uid = uid.partition("/")
        return self.by_case[case].has(object_uid, object_uid)


def _seal(
    out: Path,
    cases: Sequence[Case],
    outcomes: Sequence[Outcome],
    stores: CaseStores,
    config: BaselinesConfig,
    inputs: Mapping[str, str],
) -> None:
    for case in cases:
        store, rows = stores.by_case[case.name], list(_of_case(case, outcomes))
        items = {row.uid: row.uid for row in rows if isinstance(row, Done)}
        layout = store.lay_out(items, OBJECTS_PER_SHARD)
        seal_views(store.readers(items), layout, out / VIEWS / case.name)
        seal(out / VIEWS / case.name, Kind.VIEWS, config=config, inputs=inputs, outcomes=rows)
        for uid in items:
            write_bytes(out / MESHES / case.name / f"{uid}.ply", store.members(uid, uid)[MESH])
        store.keep(out / VIEWS / case.name, items, layout)
    facts = {"cases": [case.as_json() for case in cases]}
    seal(out / VIEWS, Kind.SAMPLES, config=config, inputs=inputs, facts=facts)
    seal(out / MESHES, Kind.MESHES, config=config, inputs=inputs, outcomes=outcomes)
    seal(out, Kind.BASELINES, config=config, inputs=inputs, outcomes=outcomes, facts=facts)


def _of_case(case: Case, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Yield the outcomes of a case under the names of the objects alone."""
    for row in outcomes:
        name, _, uid = row.uid.partition("/")
        if name == case.name:
            yield replace(row, uid=uid)
