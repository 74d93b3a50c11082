"""The verb `score-model`: joins a model, the parameters, the test sets and the profile's workers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from flows.models import resolve_model
from flows.params import load_params
from flows.score import TEST_SET_FOLDERS
from flows.wiring import Hub, Workload, open_tools
from infra.profile import load_profile
from infra.tracking import Untracked
from tasks.artifacts.cases import MESHES, VIEWS
from tasks.commands.score_model import plan_model, sample_model
from tasks.commands.score_model_options import ScoreModelOptions
from tasks.commands.score_table import score_tables
from tasks.evaluation.object_scores import check_networks
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.peers.store import replaced_peer
from tasks.reconstruct import reconstruct_samples

VERB = "score-model"


def score_model(
    options: ScoreModelOptions, root: Path, profile_name: str, hub: Hub, say: Callable[[str], None]
) -> None:
    """Sample the test sets with a model, reconstruct meshes, score both, keep them in data/peers and show the row.

    Raises ValueError for a mistake in what was asked, a model that cannot be used or a test set that is not here;
    ConnectionError when a hub, RuntimeError when the tracking store does not answer or an object cannot be sampled or
    scored. The row of before stays then, and what was sampled is found again.
    """
    params = load_params(root / "params.yaml")
    folder = resolve_model(options.model, root, profile_name)
    test_sets = {name: root / path for name, path in TEST_SET_FOLDERS.items()}
    model = plan_model(options, folder, params.sample, test_sets)
    check_networks(params.evaluate, say)
    peer = root / params.evaluate.peers / model.name
    tools_for = partial(open_tools, VERB, load_profile(profile_name), Untracked(), root, hub)
    with replaced_peer(peer) as part:
        with tools_for(Workload(whole_cards=True, objects_per_job=1)) as tools:
            sample_model(model, params.seed, part / VIEWS, tools)
        with tools_for(Workload(whole_cards=False, objects_per_job=1)) as tools:
            reconstruct_samples(part / VIEWS, params.reconstruct, params.seed, part / MESHES, tools)
            scoring = Scoring(model.test_sets, params.evaluate, params.seed, tools.worker_threads, tools.worker_device)
            scores = score_predictions([Predictions.below(part)], scoring, tools.pool, tools.progress)
    for case in model.cases:
        for table in score_tables(f"{options.model}: {case.name}", [one for one in scores if one.case == case]):
            Console().print(table)
    say(f"{peer}: the next `python -m flows run evaluate` has the rows {', '.join(case.name for case in model.cases)}")
