"""Weights of a hub, served on this machine: a branch becomes a commit, and files are what the hub says."""

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from models.data.hub_weights import HubWeights, pinned, weights_file, weights_here
from models.network.mask_vae import build_mask_vae, extend_to_mask
from tests.models.inference.hub import COMMIT, ask, served
from tests.models.network.test_mask_vae import rgb_vae
from tests.models.toy_models import VAE

OTHER = "b" * 40


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like a published model's."""
    folder = tmp_path_factory.mktemp("repository")
    rgb_vae().save_pretrained(folder / "vae")
    return folder


@pytest.fixture
def cache(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache of this process's hub, which serves `repository` as owner/name."""
    with served(repository) as url:
        ask(url, tmp_path / "cache", monkeypatch)
        yield tmp_path / "cache"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("owner/name", ("owner/name", None, "")),
        ("owner/name/vae", ("owner/name", None, "vae")),
        (f"owner/name@{COMMIT}/vae/deep", ("owner/name", COMMIT, "vae/deep")),
        ("owner/name@fp16", ("owner/name", "fp16", "")),
        ("gpt2", ("gpt2", None, "")),
    ],
)
def test_name_is_read_and_written(name: str, parts: tuple[str, str | None, str]) -> None:
    weights = HubWeights.parse(name)
    assert (weights.repository, weights.revision, weights.subfolder) == parts
    assert str(weights) == name


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("./nowhere", "is no folder"), ("/nowhere/at/all", "is no folder"), ("owner/name@", "names no")],
)
def test_name_of_nothing_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        pinned(name)


def test_branch_becomes_the_commit_that_it_stands_at(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    del cache
    with caplog.at_level(logging.WARNING):
        assert pinned("owner/name/vae") == f"owner/name@{COMMIT}/vae"
    assert f"owner/name/vae is not pinned: owner/name@{COMMIT}/vae is taken" in caplog.text


def test_commit_and_folder_stay_as_they_are(tmp_path: Path) -> None:
    for name in (f"owner/name@{OTHER}/vae", str(tmp_path), None):  # no hub is asked
        assert pinned(name) == name


def test_repository_that_is_not_there_is_named(cache: Path) -> None:
    del cache
    with pytest.raises((ValueError, ConnectionError), match="owner/nothing"):
        pinned("owner/nothing")


def test_hub_that_does_not_answer_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"  # closed again
    ask(url, tmp_path, monkeypatch)
    with pytest.raises(ConnectionError, match=r"does not say which commit owner/name is; write @COMMIT \(.*refused"):
        pinned("owner/name")


@pytest.mark.parametrize("find", [pinned, weights_file])
def test_gated_weights_say_what_to_do(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Callable[[str], object]
) -> None:
    with served(repository, is_gated=True) as url, monkeypatch.context() as patched:
        ask(url, tmp_path, patched)
        with pytest.raises(ValueError, match="owner/name/vae is gated: accept its conditions"):
            find("owner/name/vae")


def test_file_that_the_hub_does_not_have_is_named(cache: Path) -> None:
    del cache
    with pytest.raises(ValueError, match=f"the hub has no owner/name@{COMMIT}/u2net.onnx; check the name"):
        weights_file(f"owner/name@{COMMIT}/u2net.onnx")


def test_offline_the_cached_commit_is_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="the cache has no owner/name; unset it once, or write @COMMIT"):
        pinned("owner/name")
    (cache / "models--owner--name/refs").mkdir(parents=True)
    (cache / "models--owner--name/refs/main").write_text(OTHER)
    assert pinned("owner/name") == f"owner/name@{OTHER}"


def test_weights_of_a_hub_are_loaded_by_commit_and_checked(cache: Path) -> None:
    config = VAE.model_copy(update={"pretrained": f"owner/name@{COMMIT}/vae"})
    loaded = build_mask_vae(config).state_dict()
    wanted = extend_to_mask(rgb_vae()).state_dict()
    assert all(torch.equal(weight, wanted[key]) for key, weight in loaded.items())
    (blob,) = (path for path in (cache / "models--owner--name/blobs").iterdir() if b"F32" in path.read_bytes()[:1000])
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(ValueError, match=rf"safetensors of owner/name@{COMMIT}/vae has another hash .* delete {blob}"):
        build_mask_vae(config)


def test_weights_here_are_those_that_are_files(tmp_path: Path) -> None:
    (tmp_path / "vgg.pth").touch()
    assert weights_here(str(tmp_path / "vgg.pth"), None, "owner/name", str(tmp_path / "none.pth")) == [
        tmp_path / "vgg.pth"
    ]


def test_weights_file_is_a_path_or_one_that_the_cache_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--owner--vgg" / "snapshots" / COMMIT / "model.safetensors"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"weights")
    assert weights_file(str(cached)) == cached
    assert weights_file(f"owner/vgg@{COMMIT}/model.safetensors") == cached
    for missing in ("weights/vgg16.pth", "./vgg16.pth"):
        with pytest.raises(ValueError, match=f"{missing} does not exist; name a file, or owner/name@COMMIT/file"):
            weights_file(missing)
