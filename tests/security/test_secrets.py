"""A secret reaches the server that it is for, and nothing that is written or said."""

import shutil
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.params import load_params
from flows.params_edit import set_params
from flows.pipeline import STAGES
from flows.stage_process import Pipeline, stage_process
from flows.wiring import Hub, open_tools
from infra.addresses import secret_fields, shown
from infra.profile import load_profile
from infra.storage.store import RemoteStore
from tests.e2e.tiny_project import CANARY, SECRETS
from tests.infra.s3 import Answer, S3Server
from tests.infra.server import Fault, WebServer
from tests.project_copy import copy_project, write_profile
from tests.tasks.hub import glb, lay_out_hub

WITH_PASSWORD = f"https://someone:{CANARY}@example.org/scores.csv"
SIGNED = f"https://bucket.example.org/scores.csv?X-Amz-Signature={CANARY}&x=1"
STAGE = "catalog"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("secrets") / "project")


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose objects lie at a hub, as its first stage finds it."""
    folder = Path(shutil.copytree(template, tmp_path / "project"))
    set_params(folder / "params.yaml", {"catalog.source": "objaverse", "catalog.max_objects": None})
    monkeypatch.chdir(folder)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "hub", {f"object{index:02d}": glb(str(index)) for index in range(3)})
    with WebServer(tmp_path / "hub") as web:
        yield web


def run_catalog(project: Path, hub_url: str, **profile: Any) -> int:
    write_profile(project / "here.yaml", pool="serial", hub_url=hub_url, retries=0, **profile)
    hub = Hub("https://huggingface.co", SECRETS["HF_TOKEN"])
    pipeline = Pipeline(STAGES, partial(open_tools, hub=hub))
    return stage_process(STAGE, project, pipeline, profile="here.yaml", flow_run="", verbose=True)


def leaks(project: Path) -> list[str]:
    return [str(path) for path in project.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def statuses(project: Path) -> list[str]:
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as store:
        return [row[0] for row in store.execute("SELECT status FROM runs ORDER BY start_time")]


@pytest.mark.slow
def test_hub_token_is_sent_and_neither_written_nor_said_whatever_the_hub_answers(
    project: Path, hub: WebServer, capfd: pytest.CaptureFixture[str]
) -> None:
    index = "object-paths.json.gz"
    hub.faults[index] = [Fault(status=401), Fault(after_bytes=3)]
    assert run_catalog(project, hub.url) == 1
    assert run_catalog(project, hub.url) == 1
    assert run_catalog(project, hub.url) == 0
    assert f"Bearer {SECRETS['HF_TOKEN']}" in hub.tokens, "it must be used, or this test finds nothing"
    said = "".join(capfd.readouterr())
    assert "does not allow it (401" in said
    assert CANARY not in said
    assert statuses(project) == ["FAILED", "FAILED", "FINISHED"]
    assert not leaks(project)


@pytest.mark.nightly  # by day the hub's token, by the same ways of writing
@pytest.mark.slow
def test_keys_of_s3_are_neither_written_nor_said_when_the_service_refuses_them(
    project: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)  # after those of the server's fixture
    s3.client().create_bucket(Bucket="mirror")
    for code in ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied"):
        s3.answers += [Answer(403, code)] * 4  # two files, for each of which the reason is asked after
        s3.requests.clear()
        assert run_catalog(project, "s3://mirror/objaverse", s3_endpoint=s3.url) == 1
        assert s3.requests
    said = "".join(capfd.readouterr())
    assert "check AWS_ACCESS_KEY_ID" in said
    assert CANARY not in said
    assert not leaks(project)


@pytest.mark.parametrize("address", [WITH_PASSWORD, SIGNED])
@pytest.mark.parametrize("key", ["catalog.scores", "catalog.folder"])
def test_params_refuse_an_address_with_a_secret_without_saying_it(template: Path, address: str, key: str) -> None:
    with pytest.raises(ValueError, match=rf"{key} is an address with a password or signature") as refusal:
        set_params(template / "params.yaml", {key: address})
    assert CANARY not in str(refusal.value)
    load_params(template / "params.yaml")
    assert not leaks(template)


@pytest.mark.parametrize("key", ["hub_url", "tracking_uri", "s3_endpoint", "latents_url", "store_url"])
def test_profile_refuses_an_address_with_a_secret_without_saying_it(tmp_path: Path, key: str) -> None:
    path = write_profile(tmp_path / "here.yaml", **{key: f"http://someone:{CANARY}@127.0.0.1:9000"})
    with pytest.raises(ValueError, match=rf"{key} is an address with a password .* environment") as refusal:
        load_profile(str(path))
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    "content", ["http://a.org/x@y", "s3://bucket/me@home/x", "mail me@home.org", "https://a.org/?seed=1&tokens=3"]
)
def test_address_without_a_secret_is_left_alone(content: str) -> None:
    assert shown(content) == content
    assert not list(secret_fields({"a": [content]}))


def test_errors_of_a_store_name_the_address_without_its_password(hub: WebServer, tmp_path: Path) -> None:
    address = hub.url.replace("http://", f"http://someone:{CANARY}@")
    store = RemoteStore(attempts=1)
    hub.faults["broken"] = [Fault(status=500)]
    for url in (
        f"{address}/missing",
        f"{address}/broken",
        f"{SIGNED[:5]}q{SIGNED[5:]}",
        f"http://u:{CANARY}@127.0.0.1:9/",
    ):
        with pytest.raises((OSError, ValueError)) as refusal:
            store.fetch(url, tmp_path / "copy")
        assert CANARY not in str(refusal.value)
        assert "..." in str(refusal.value)


def test_yaml_whose_aliases_multiply_is_refused_at_once(tmp_path: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    bomb = "\n".join(["l0: &l0 [x]", *levels, "seed: *l29"])
    (tmp_path / "params.yaml").write_text(bomb)
    with pytest.raises(ValueError, match="does not hold together") as refusal:
        load_params(tmp_path / "params.yaml")
    assert len(str(refusal.value)) < 20_000
