"""The verb `score`: joins a folder of predictions, the parameters, the test sets and the profile's workers."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from flows.params import load_params
from flows.pipeline import GSO_EVAL, TEST_VIEWS, WORK
from flows.wiring import open_pool, worker_device
from infra.profile import load_profile, resolve
from infra.progress import TerminalProgress
from tasks.artifacts.cases import TestSet
from tasks.commands.score import import_prediction, plan_prediction, row_name, score_panorama
from tasks.commands.score_options import ScoreOptions
from tasks.commands.score_table import published_table, score_case, score_tables
from tasks.evaluation.object_scores import check_networks
from tasks.evaluation.predictions import Scoring
from tasks.peers.layouts import layout_named

TEST_SET_FOLDERS: dict[TestSet, Path] = {"test_views": TEST_VIEWS, "gso_eval": GSO_EVAL}


def score(options: ScoreOptions, root: Path, profile_name: str, say: Callable[[str], None]) -> None:
    """Import the predictions in a folder into data/peers, score them and show the row.

    Raises ValueError for a mistake in what was asked or a folder that is incomplete, ConnectionError when a hub does
    not give the weights that evaluate.lpips_weights names; nothing is imported then.
    """
    params = load_params(root / "params.yaml")
    peers, console = root / params.evaluate.peers, Console()
    layout = layout_named(options.layout)
    if layout.views is None and layout.frame is None:
        console.print(score_panorama(options.folder, row_name(options), peers))
        return
    plan = plan_prediction(options)
    truth = root / TEST_SET_FOLDERS[plan.case.test_set]
    profile = load_profile(profile_name)
    resources = resolve(profile)
    check_networks(params.evaluate, say)
    import_prediction(plan, truth, peers, say, is_partial=options.partial)
    with open_pool(profile, resources, root / WORK / "score" / "logs") as pool:
        threads, device = resources.threads_each(pool.num_workers), worker_device(profile, resources)
        scoring = Scoring({plan.case.test_set: truth}, params.evaluate, params.seed, threads, device)
        scores = score_case(peers / plan.case.method, plan.case, scoring, pool, TerminalProgress())
    console.print(published_table(plan.case))
    for table in score_tables(f"{layout.title}: {plan.case.name}", scores):
        console.print(table)
    say(f"{peers / plan.case.method}: the next `python -m flows run evaluate` has the row {plan.case.name}")
