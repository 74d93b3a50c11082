"""Every command that README and docs show is run by a test, or it is said why not, and its options exist."""

import re

import pytest
import typer.main

from flows import __main__ as _verbs  # noqa: F401 (adds the verbs)
from flows.app import PROGRAM, app
from tests.commands_in_docs import NOT_RUN, RUN_BY, Shown, commands
from tests.project_copy import ROOT

SHOWN = list(commands())


def test_every_command_of_the_documentation_is_accounted_for() -> None:
    assert len(SHOWN) > 60
    unknown = {f"{shown.page.name}: {shown.text}" for shown in SHOWN if not shown.beginning}
    assert not unknown, "name the test that runs it in tests/commands_in_docs.py, or say why none does"


def test_tests_that_run_commands_exist_and_name_them() -> None:
    for beginning, name in RUN_BY.items():
        assert (ROOT / name).is_file(), name
        if beginning.startswith(PROGRAM):
            word = beginning.rpartition(" ")[2]
            assert re.search(rf"\b{word.replace('-', '[-_]')}", (ROOT / name).read_text()), (
                f"{name} does not run {word}"
            )
    assert all(len(reason.split()) > 2 for reason in NOT_RUN.values())


def test_verbs_are_all_accounted_for() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    missing = [
        name for name, verb in verbs.items() if not verb.hidden and f"{PROGRAM} {name}" not in {**RUN_BY, **NOT_RUN}
    ]
    assert not missing, "name the test that runs it in tests/commands_in_docs.py, or say why none does"


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.page.name}: {shown.text[:60]}")
def test_command_of_the_documentation_has_a_verb_and_options_that_exist(shown: Shown) -> None:
    if shown.text.startswith("make "):
        target = shown.text.split()[1]
        assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        return
    if not shown.text.startswith(f"{PROGRAM} "):
        return
    verb, *words = shown.text.removeprefix(f"{PROGRAM} ").split()
    if verb.isupper():
        return  # a placeholder
    found = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert verb in found, verb
    options = {name for row in found[verb].params for name in (*row.opts, *row.secondary_opts)} | {"--help", "-h"}
    given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
    assert given <= options
