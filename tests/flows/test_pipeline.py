"""Every row of the tables in flows/pipeline.py fits the function that it names, params.yaml and Prefect."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from pydantic import ConfigDict, TypeAdapter

from flows import orchestrate
from flows.params import Params, load_params
from flows.pipeline import FLOWS, STAGES
from flows.stage import Stage
from infra.versioning import Repository
from tasks.ports import Tools

ROOT = Path(__file__).parents[2]
PARAM_FILES = sorted([ROOT / "params.yaml", *(ROOT / "params").glob("*.yaml")])


@pytest.fixture(scope="module")
def params() -> Params:
    return load_params(ROOT / "params.yaml")


def keys(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from keys(value)


def fits(value: object, annotation: Any) -> bool:
    """Whether a value is of an annotated type, without any conversion."""
    adapter = TypeAdapter(annotation, config=None if is_model(annotation) else ConfigDict(arbitrary_types_allowed=True))
    return adapter.validate_python(value, strict=True) == value


def is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and (
        hasattr(annotation, "model_fields") or hasattr(annotation, "__dataclass_fields__")
    )


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_stage_gives_its_function_exactly_the_arguments_it_takes(stage: Stage, params: Params) -> None:
    function, arguments = stage.function(), stage.arguments(params)
    hints = get_type_hints(function)
    assert set(inspect.signature(function).parameters) == set(arguments) | {"tools"}
    assert hints["tools"] is Tools
    assert [name for name, value in arguments.items() if not fits(value, hints[name])] == []


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.name)
def test_stage_is_run_by_a_file_of_tasks_that_says_so(stage: Stage) -> None:
    module = stage.runs.partition(":")[0]
    assert (ROOT / f"{module.replace('.', '/')}.py").parent == ROOT / "tasks"
    assert stage.function().__module__ == module


def test_stages_make_folders_of_their_own_from_what_earlier_ones_made() -> None:
    made: list[str] = []
    for stage in STAGES.values():
        assert [path.as_posix() for path in stage.after if path.parent.as_posix() not in made] == []
        gates = {path.as_posix() for path in stage.after}
        assert [dep for dep in stage.deps if not dep.startswith("${") and dep not in {*made, *gates}] == []
        made.append(stage.out.as_posix())
    assert len(set(made)) == len(made)


def test_sections_of_params_and_stages_are_the_same() -> None:
    assert set(Params.model_fields) == {section for stage in STAGES.values() for section in stage.params}
    assert set(Params.model_fields) - {"seed"} == {name.replace("-", "_") for name in STAGES}


def test_watched_folders_are_keys_of_params(params: Params) -> None:
    for stage in STAGES.values():
        for key in stage.watches:
            section, name = key.split(".")
            assert isinstance(getattr(getattr(params, section), name), str)


def test_table_of_stages_is_read_without_torch_or_prefect() -> None:
    script = (
        "import sys, flows.pipeline, flows.graph\n"
        "print([name for name in ('torch', 'prefect', 'mlflow', 'dvc') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert answer.stdout == "[]\n", answer.stderr


@pytest.mark.parametrize("path", PARAM_FILES, ids=lambda path: path.name)
def test_every_params_file_holds_together(path: Path) -> None:
    load_params(path)


@pytest.mark.parametrize("path", PARAM_FILES, ids=lambda path: path.name)
def test_no_parameter_has_a_name_that_the_run_cache_overlooks(path: Path) -> None:
    """DVC leaves every `size` and `nfiles` out of the run-cache's key: it would restore a wrong result."""
    assert not {"size", "nfiles"} & set(keys(yaml.safe_load(path.read_text())))


def test_flows_lead_to_stages_and_one_to_everything() -> None:
    targets = {flow.name: flow.target for flow in FLOWS}
    assert set(targets.values()) <= set(STAGES)
    assert [stage.name for stage in Repository(ROOT).stages([targets["data-to-model"]])] == list(STAGES)


@pytest.mark.parametrize("row", FLOWS, ids=lambda row: row.name)
def test_flow_is_found_where_its_deployment_looks(row: Any) -> None:
    module, _, name = row.entrypoint.rpartition(".")
    found = getattr(orchestrate, name)
    assert (module, found.name, found.description) == ("flows.orchestrate", row.name, row.description)
    assert set(found.parameters.properties) == {"settings", "set_params", "force"}
