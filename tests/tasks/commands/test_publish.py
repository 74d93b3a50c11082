"""What is published: a folder that a hub shows and that others load, and the same at a hub over HTTP."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, ModelCard, constants, snapshot_download

from flows.__main__ import main
from flows.params import load_params
from models.network.noise import build_scheduler
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.views import ViewSet
from tests.models.toy_models import NOISE, picture, toy_pipeline
from tests.project_copy import ROOT
from tests.tasks.commands.publishing_hub import publishing_hub
from tests.tasks.commands.test_dataset_card import objects_of
from tests.tasks.made_run import PARAMS
from tests.tasks.small_views import write_small_views

CARD = """---
license: mit
library_name: diffusers
---
# MVDiffusion++, stage3

What it is.
"""
SCORES = [
    {"dataset": {"id": "me/gso", "task_id": "sparse_held_out_4_psnr"}, "value": 21.5, "notes": "mean over 2 objects"},
    {"dataset": {"id": "me/gso", "task_id": "sparse_held_out_4_ssim"}, "value": 0.875, "notes": "mean over 2 objects"},
]
TOKEN = "hf_" + "canary"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model and the report that evaluated it, as far as publishing reads them."""
    folder = tmp_path_factory.mktemp("publish")
    params = load_params(PARAMS)
    model = folder / "models_out" / "stage3"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(model)
    (model / "README.md").write_text(CARD)
    seal(model, Kind.DIFFUSION_MODEL, config=params.train_stage3, inputs={})
    made = open_manifest(model, Kind.DIFFUSION_MODEL).fingerprint
    scores = folder / "reports" / "eval_results" / "stage3.yaml"
    scores.parent.mkdir(parents=True)
    scores.write_text(yaml.safe_dump(SCORES))
    seal(folder / "reports", Kind.REPORT, config=params.evaluate, inputs={"train-stage3": made})
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    picture(0).save(folder / "photo.png")
    return folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def sample(model: Path, out: Path) -> int:
    words = ["sample", "photo.png", "--model", str(model), "--out", str(out), "--steps", "1", "--mesh-resolution", "16"]
    return main(words)


@pytest.mark.slow
def test_published_folder_has_its_scores_on_its_card_and_is_sampled_from(tmp_path: Path) -> None:
    assert main(["publish", "models_out/stage3", str(tmp_path / "hub"), "--name", "Ducks"]) == 0
    card = ModelCard.load(tmp_path / "hub" / "README.md")
    assert card.data.model_name == "Ducks"
    assert card.data.license == "mit"
    results = {result.metric_name: result for result in card.data.eval_results or []}
    assert results["sparse_held_out_4_psnr"].metric_value == 21.5
    assert results["sparse_held_out_4_psnr"].metric_type == "psnr"
    assert "| sparse_held_out_4_ssim | 0.875 | mean over 2 objects |" in card.text
    assert "What it is." in card.text
    assert (tmp_path / "hub" / ".eval_results" / "mvdiffusion-pp.yaml").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]
    assert sample(tmp_path / "hub", tmp_path / "drawn") == 0
    assert (tmp_path / "drawn" / "sheet.png").is_file()
    assert main(["publish", "models_out/stage3", str(tmp_path / "hub")]) == 2


@pytest.mark.slow
def test_model_published_at_a_hub_comes_back_with_equal_bytes(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with publishing_hub(tmp_path / "hub") as (url, hub):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", url)  # read from HF_ENDPOINT when the library is imported
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of the hub's storage, beside LFS
        assert main(["publish", "models_out/stage3", "hub:me/ducks"]) == 0
        assert f"{url}/me/ducks/tree/" in capsys.readouterr().out
        assert set(hub.tokens) == {f"Bearer {TOKEN}"}
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        names = HfApi(endpoint=url).list_repo_files("me/ducks")
        cache, copy = tmp_path / "cache", tmp_path / "copy"
        here = Path(snapshot_download("me/ducks", endpoint=url, local_dir=copy, cache_dir=cache))
    source = project / "models_out" / "stage3"
    given = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert set(names) == given | {".eval_results/mvdiffusion-pp.yaml"}
    for name in given - {"README.md"}:
        assert (here / name).read_bytes() == (source / name).read_bytes()
    assert ModelCard.load(here / "README.md").data.eval_results
    assert sample(here, tmp_path / "drawn") == 0


@pytest.mark.parametrize(("status", "remedy"), [(401, "HF_TOKEN is not valid"), (403, "may not write there")])
def test_hub_that_refuses_is_a_sentence_without_the_token(
    status: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with publishing_hub(tmp_path, refuses=status) as (url, _):
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        assert main(["publish", "models_out/stage3", "hub:me/ducks"]) == 2
    said = "".join(capsys.readouterr())
    assert remedy in said
    assert "me/ducks" in said
    assert TOKEN not in said


def test_hub_that_does_not_answer_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["publish", "models_out/stage3", "hub:me/ducks"]) == 2
    assert "does not take me/ducks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models_out/stage3", "hub:ducks"], "names no repository; write hub:OWNER/NAME"),
        (["models_out/stage3", "hub:me/ducks"], "set HF_TOKEN to a token"),
        (["photo.png", "out"], "has no manifest.json"),
        (["reports", "out"], "reports"),
        (["models_out/stage3", "out", "--report", "models_out"], "models_out"),
    ],
)
def test_what_cannot_be_published_is_a_sentence_and_leaves_nothing(
    words: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(project.rglob("*"))
    assert main(["publish", *words]) == 2
    assert said in capsys.readouterr().err
    assert sorted(project.rglob("*")) == before


def test_published_views_have_card_licences_and_croissant_and_open_as_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    views = write_small_views(tmp_path)
    uids = ViewSet.open(views).uids
    objects = objects_of(tmp_path, dict.fromkeys(uids, "by"))
    words = ["publish", str(views), str(tmp_path / "hub"), "--objects", str(objects), "--name", "ducks"]
    assert main([*words, "--dry-run"]) == 0
    assert "nothing was published" in capsys.readouterr().out
    assert not (tmp_path / "hub").exists()
    assert main(words) == 0
    assert json.loads((tmp_path / "hub" / "croissant.json").read_text())["name"] == "ducks"
    assert (tmp_path / "hub" / "attribution.csv").read_text().count("somebody") == len(uids)
    published = ViewSet.open(tmp_path / "hub")
    assert published.uids == uids
    assert (published.image(uids[0], "t00") == ViewSet.open(views).image(uids[0], "t00")).all()
