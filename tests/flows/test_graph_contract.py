"""dvc.yaml, flows/pipeline.py, params.yaml and prefect.yaml describe one graph."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import pipeline
from flows.params import Params, load_params
from flows.pipeline import FLOWS, STAGES
from infra.versioning import Repository, StageInfo

ROOT = Path(__file__).parents[2]
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PATHS = {name: value.as_posix() for name, value in vars(pipeline).items() if isinstance(value, Path)}
PARAM_FILES = sorted([ROOT / "params.yaml", *(ROOT / "params").glob("*.yaml")])


@pytest.fixture(scope="module")
def stages() -> list[StageInfo]:
    return Repository(ROOT).stages()


def body(name: str) -> ast.FunctionDef:
    (function,) = ast.parse(inspect.getsource(STAGES[name])).body
    assert isinstance(function, ast.FunctionDef)
    return function


def keys(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from keys(value)


def path_of(entry: str | dict[str, Any]) -> str:
    return entry if isinstance(entry, str) else next(iter(entry))


def test_stages_of_both_files_are_the_same_in_the_same_order(stages: list[StageInfo]) -> None:
    assert list(GRAPH) == list(STAGES) == [stage.name for stage in stages]


def test_stages_come_after_what_they_need(stages: list[StageInfo]) -> None:
    order = list(STAGES)
    for stage in stages:
        assert all(order.index(name) < order.index(stage.name) for name in stage.upstream)


@pytest.mark.parametrize("name", list(STAGES))
def test_stage_depends_on_the_sections_its_function_reads(name: str) -> None:
    read = {
        node.attr
        for node in ast.walk(body(name))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
    assert read == set(GRAPH[name]["params"])


@pytest.mark.parametrize("name", list(STAGES))
def test_stage_depends_on_and_makes_the_paths_its_function_names(name: str) -> None:
    named = {PATHS[node.id] for node in ast.walk(body(name)) if isinstance(node, ast.Name) and node.id in PATHS}
    listed = [path_of(entry) for entry in GRAPH[name]["deps"] + GRAPH[name]["outs"]]
    assert named == {path for path in listed if not path.startswith("${")}


@pytest.mark.parametrize("name", list(STAGES))
def test_stage_command_says_nothing_but_its_name(name: str) -> None:
    assert GRAPH[name]["cmd"] == f"python -m flows stage {name}"


@pytest.mark.parametrize("name", list(STAGES))
def test_stage_output_goes_through_the_cache_and_the_run_cache(name: str) -> None:
    assert all(isinstance(entry, str) for entry in GRAPH[name]["outs"])
    assert not GRAPH[name].keys() - {"desc", "cmd", "deps", "params", "outs", "meta"}


@pytest.mark.parametrize("name", list(STAGES))
def test_stage_says_what_it_does_and_how_a_flow_treats_it(name: str) -> None:
    policy = GRAPH[name]["meta"]["prefect"]
    assert GRAPH[name]["desc"]
    assert STAGES[name].__doc__
    assert policy["retries"] >= 0
    assert policy["timeout_seconds"] > 0
    assert not policy.keys() - {"retries", "retry_delay_seconds", "timeout_seconds"}


def test_every_section_is_read_by_a_stage() -> None:
    assert set(Params.model_fields) == {section for stage in GRAPH.values() for section in stage["params"]}


@pytest.mark.parametrize("path", PARAM_FILES, ids=lambda path: path.name)
def test_every_params_file_holds_together(path: Path) -> None:
    load_params(path)


@pytest.mark.parametrize("path", PARAM_FILES, ids=lambda path: path.name)
def test_no_parameter_has_a_name_that_the_run_cache_overlooks(path: Path) -> None:
    """DVC leaves every `size` and `nfiles` out of the run-cache's key: it would restore a wrong result."""
    assert not {"size", "nfiles"} & set(keys(yaml.safe_load(path.read_text())))


def test_flows_lead_to_stages_and_one_to_everything() -> None:
    assert set(FLOWS.values()) <= set(STAGES)
    reached = {stage.name for stage in Repository(ROOT).stages([FLOWS["data-to-model"]])}
    assert reached == set(STAGES)


def test_deployments_are_the_flows() -> None:
    from flows import orchestrate

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    found = {}
    for deployment in deployments:
        module, _, function = deployment["entrypoint"].rpartition(".")
        assert (module, deployment["name"]) == ("flows.orchestrate", "local")
        flow = getattr(orchestrate, function)
        found[flow.name] = flow.description.split("\n")[0]
        assert deployment["description"] == found[flow.name]
    assert set(found) == set(FLOWS)
    assert len(deployments) == len(FLOWS)


def test_work_pool_of_the_deployments_is_the_one_that_is_served() -> None:
    from flows.servers import WORK_POOL

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {deployment["work_pool"]["name"] for deployment in deployments} == {WORK_POOL}
