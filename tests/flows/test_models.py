"""The names of models that users give."""

from pathlib import Path

import pytest

from flows.models import is_hub_id, resolve_model
from tests.models.inference.hub import ask, served


def test_model_folder_is_itself(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path), tmp_path, "laptop") == tmp_path


@pytest.mark.parametrize("reference", ["nowhere", "/nowhere/model", "../nowhere", "strange:/name/1", "a/b/../../c d"])
def test_model_that_is_neither_folder_nor_hub_id_is_a_sentence(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder here, and no id at a hub: name the folder of a saved pipeline"):
        resolve_model(reference, tmp_path, "laptop")


def test_model_hub_id_is_not_a_mistyped_path_below_a_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_hub_id("models_out/stage4")
    (tmp_path / "models_out").mkdir()
    assert not is_hub_id("models_out/stage4")
    assert is_hub_id("owner/name@main/folder/inside")


def test_model_at_a_hub_is_fetched_without_pickled_weights_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("model_index.json", "unet/model.safetensors", "unet/model.bin", "pipeline.py", "README.md")
    for name in names:
        (tmp_path / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repository" / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    with served(tmp_path / "repository") as url:
        ask(url, tmp_path / "cache", monkeypatch)
        folder = resolve_model("owner/name", tmp_path, "laptop")
        found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert found == ["model_index.json", "unet/model.safetensors"]
        with pytest.raises(ValueError, match="the hub has no owner/other; check the name"):
            resolve_model("owner/other", tmp_path, "laptop")
    with pytest.raises(ConnectionError, match="the hub does not say which commit owner/gone is"):
        resolve_model("owner/gone", tmp_path, "laptop")
