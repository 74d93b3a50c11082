"""What is committed holds no secret, and what is installed is known with its licence."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.setup.bill_of_materials import UNKNOWN, bill_of_materials
from infra.setup.bootstrap import LIBRARIES
from infra.setup.secret_scan import FORMS, main, secrets_in
from tests.project_copy import ROOT

SECRETS = {
    "a key of Amazon's": "AKIA" + "ABCDEFGH12345678",
    "a token of Hugging Face": "hf_" + "a1" * 17,
    "a token of GitHub": "ghp_" + "a1" * 18,
    "a key of Prefect's": "pnu_" + "a1" * 18,
    "a token of Slack": "xoxb-" + "1" * 12,
    "a key of Google's": "AIza" + "x" * 35,
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a password in an address": "postgresql://mlflow:" + "secret" + "@db.example.org/runs",
    "a key of a cloud": "aws_secret_access_key = " + "a1" * 20,
}


def test_project_holds_no_secret() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    names = [str(ROOT / name) for name in listed.stdout.split("\0") if name]
    assert len(names) > 500
    assert main(names) == 0


@pytest.mark.parametrize("kind", FORMS)
def test_secret_is_found_and_its_place_named_without_it(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.md").write_text(f"\nkey: {SECRETS[kind]}\n")
    assert main([str(tmp_path / "notes.md")]) == 1
    said = capsys.readouterr().err
    assert f"notes.md:2: {kind}" in said
    assert SECRETS[kind] not in said
    assert not list(secrets_in(f"{SECRETS[kind]}  # not-a-secret: an example"))


@pytest.mark.slow(seconds=2)
def test_bill_of_materials_names_every_pin_with_its_licence() -> None:
    document = bill_of_materials()
    found = {row["name"]: row for row in document["components"]}
    pins = [line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    pins = [pin.strip().lower().replace("_", "-").replace(".", "-").partition("[")[0] for pin in pins if pin[0] != "#"]
    assert len(pins) > 100
    assert not [pin for pin in pins if pin not in found]
    assert "GPL" in json.dumps(found["bpy"]["licenses"]).replace("General Public", "GPL")
    unknown = [name for name, row in found.items() if UNKNOWN in json.dumps(row["licenses"])]
    assert len(unknown) < len(found) / 20, unknown


@pytest.mark.nightly
@pytest.mark.slow
def test_bill_of_materials_is_valid_cyclonedx(tmp_path: Path) -> None:
    from cyclonedx.model.bom import Bom

    file = tmp_path / "sbom.json"
    words = [sys.executable, "-m", "infra.setup.bill_of_materials", str(file)]
    subprocess.run(words, cwd=ROOT, check=True, timeout=600, capture_output=True)
    read = Bom.from_json(json.loads(file.read_text()))  # type: ignore[attr-defined] # serializable adds it
    assert len(read.components) == len(bill_of_materials()["components"])


def test_workflow_runs_what_continuous_integration_runs_everywhere() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert "bash .ci/run" in commands
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= targets
    installed = next(command for command in commands if "apt-get install" in command)
    assert set(LIBRARIES.values()) <= set(installed.split())
