"""The files of infra/deploy, as far as they can be checked without a container engine, a cluster or a cloud."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infra.setup import bootstrap
from tests.infra.compose import COMPOSE, services
from tests.project_copy import ROOT

DEPLOY = ROOT / "infra" / "deploy"
SCHEMAS = yaml.safe_load((Path(__file__).parent / "schemas.yaml").read_text())
SECRETS = {
    "MVDPP_POSTGRES_PASSWORD": "secret-of-postgres",
    "AWS_ACCESS_KEY_ID": "name-of-store",
    "AWS_SECRET_ACCESS_KEY": "secret-of-store",
}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PINS = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1] != "#")


def steps(instruction: str) -> list[str]:
    """The arguments of one instruction of the Dockerfile, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    return [line.removeprefix(f"{instruction} ") for line in lines if line.startswith(f"{instruction} ")]


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


@pytest.mark.parametrize(
    ("kind", "path"),
    [("compose", "compose.yaml"), ("kuberay", "kuberay/rayjob.yaml"), ("skypilot", "skypilot/pipeline.yaml")],
)
def test_file_has_no_key_that_its_tool_does_not_know(kind: str, path: str) -> None:
    jsonschema.validate(load(path), SCHEMAS[kind])


@pytest.mark.parametrize("missing", list(SECRETS))
def test_compose_without_a_secret_says_which_and_what_to_set(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    with pytest.raises(ValueError, match=f"{missing} is missing a value: set {missing} to"):
        services(given)


def test_compose_keeps_no_secret_of_its_own_and_gives_each_service_those_it_needs() -> None:
    found = services(SECRETS)
    assert not [word for word in SECRETS.values() if word in COMPOSE.read_text()]
    assert all(secret not in " ".join(found[name].command) for name in found for secret in SECRETS.values())
    for name in ("prefect", "mlflow"):
        [address] = [value for value in found[name].environment.values() if value.startswith("postgresql+")]
        assert f"mvdpp:{SECRETS['MVDPP_POSTGRES_PASSWORD']}@127.0.0.1:5432/{name}" in address
    assert "AWS_SECRET_ACCESS_KEY" not in found["prefect"].environment


def test_compose_listens_on_loopback_alone_waits_for_health_and_pins_images() -> None:
    found = services(SECRETS)
    for name, service in found.items():
        assert service.definition["network_mode"] == "host"
        assert "ports" not in service.definition
        assert not {"0.0.0.0", "*"} & set(service.command)
        assert "build" in service.definition or ":" in service.definition["image"]
        for other, how in service.definition.get("depends_on", {}).items():
            kind = "healthcheck" if how["condition"] == "service_healthy" else "command"
            assert found[other].definition[kind], f"{name} waits for {other}"
    for name in ("prefect", "mlflow", "s3", "postgres"):
        words = " ".join(found[name].command)
        assert re.search(r"(--host |ip\.bind=|listen_addresses=)127\.0\.0\.1", words), name


def test_compose_builds_targets_that_the_dockerfile_has() -> None:
    targets = {step.split(" AS ")[1] for step in steps("FROM")}
    assert targets == {"python", "services", "render", "train"}
    for worker in ("render", "train"):
        built = services(SECRETS | {"MVDPP_WORKER": worker}).values()
        wanted = {service.definition["build"]["target"] for service in built if "build" in service.definition}
        assert wanted == {"services", worker}


def test_dockerfile_copies_what_its_context_holds() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for step in steps("COPY"):
        source = step.split()[0]
        assert (ROOT / source).exists()
        assert any(source.startswith(rule.removeprefix("!")) for rule in ignored if rule.startswith("!")), source


def test_dockerfile_python_runs_in_a_folder_that_holds_only_what_was_copied(tmp_path: Path) -> None:
    for step in steps("COPY")[:2]:
        source, target = step.split()
        (tmp_path / target).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / target)
    snippets = [code for step in steps("RUN") for code in re.findall(r"python -c '([^']+)'", step)]
    assert len(snippets) == 2
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=300, check=True,
        ).stdout.strip()
        for code in snippets
    ]  # fmt: skip
    assert said[0] == bootstrap.UV
    assert said[1] == "", "every library that bpy needs is here, so that nothing is installed"


def test_dockerfile_installs_the_pins_and_nothing_beside_them() -> None:
    installs = [step for step in steps("RUN") if "uv pip install" in step]
    assert len(installs) == 2
    for step in installs:
        assert "-r requirements.txt" in step or "--constraint requirements.txt" in step
    named = re.search(r"--constraint requirements\.txt (.+)$", installs[0])
    assert named is not None
    assert set(named[1].split()) <= set(PINS)


def test_ray_cluster_is_what_ray_up_accepts_with_its_head_on_a_stable_machine() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = load("ray/cluster.yaml")
    prepared = prepare_config(config)
    validate_config(prepared)
    types = config["available_node_types"]
    assert "InstanceMarketOptions" not in types[config["head_node_type"]]["node_config"]
    assert types[config["head_node_type"]]["resources"] == {"CPU": 0}
    assert "GPU" not in types["render"]["resources"]
    assert types["train"]["resources"]["GPU"] == 8
    assert sum(kind.get("max_workers", 0) for kind in types.values()) <= config["max_workers"]


def test_kuberay_runs_the_ray_of_the_pins_with_a_stable_head_and_two_groups_that_grow() -> None:
    spec = load("kuberay/rayjob.yaml")["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == PINS["ray"]
    assert spec["enableInTreeAutoscaling"] is True
    head = spec["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["template"]["spec"]["nodeSelector"] == {"mvdpp/node": "stable"}
    cards = {}
    for group in spec["workerGroupSpecs"]:
        assert group["minReplicas"] == 0 < group["maxReplicas"]
        [container] = group["template"]["spec"]["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        cards[group["groupName"]] = int(container["resources"]["limits"].get("nvidia.com/gpu", 0))
    assert cards == {"render": 0, "train": 8}


def test_scripts_are_shell_that_parses() -> None:
    sky = load("skypilot/pipeline.yaml")
    scripts = [(DEPLOY / "slurm" / "pipeline.sbatch").read_text(), sky["setup"], sky["run"]]
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


SLURM = {
    "scontrol": """
        echo "scontrol $*" >> calls
        if [ "$1" = show ]; then echo node0; echo node1; fi""",
    "srun": """
        echo "srun $*" >> calls
        trap 'echo saved >> calls; exit 0' TERM
        touch began
        while sleep 0.1; do :; done""",
}
"""Stand-ins for Slurm's commands: they note what they are asked, and the step saves when it is told to end."""


def test_slurm_job_that_is_told_to_end_waits_for_its_step_and_queues_again(tmp_path: Path) -> None:
    tools, venv = tmp_path / "tools", tmp_path / ".venv" / "bin"
    for folder in (tools, venv):
        folder.mkdir(parents=True)
    for name, body in SLURM.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    (venv / "activate").write_text("")
    env = {
        "PATH": f"{tools}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "node[0-1]",
    }  # fmt: skip
    script = DEPLOY / "slurm" / "pipeline.sbatch"
    job = subprocess.Popen(["bash", script, "train-stage1"], cwd=tmp_path, env=env)
    try:
        for _ in range(600):
            if (tmp_path / "began").exists():
                break
            with pytest.raises(subprocess.TimeoutExpired):
                job.wait(0.1)
        job.terminate()
        assert job.wait(60) == 0
    finally:
        job.kill()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "scontrol show hostnames node[0-1]"
    assert calls[1].endswith(
        "ray symmetric-run --address node0:6379 --min-nodes 2 --disable-usage-stats -- python -m flows run train-stage1"
    )
    assert calls[2:] == ["saved", "scontrol requeue 7"]
