"""The notebook runs from top to bottom, in a folder that holds what its reader has made."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from models.network.noise import build_scheduler
from render.cameras import Camera
from tests.models.toy_models import NOISE, toy_pipeline
from tests.project_copy import ROOT
from tests.tasks.small_view_sets import seal_images

NOTEBOOK = ROOT / "docs" / "notebooks" / "tour.ipynb"


def read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_notebook_is_stored_without_outputs() -> None:
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert len(cells) > 5
    assert not [cell.id for cell in cells if cell.outputs or cell.execution_count]


@pytest.mark.slow
@pytest.mark.blender
def test_notebook_runs_and_shows_an_object_its_views_and_what_a_model_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path / "models_out" / "stage3")
    grey = np.full((32, 32, 4), 128, np.uint8)
    (tmp_path / "data").mkdir()
    cameras = [Camera(f"t{index:02d}", 45.0 * index, 0, 1.5, 60) for index in range(8)]
    seal_images(tmp_path / "data", {"ball": [(camera, grey) for camera in cameras]})
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = read()
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))))
        for output in outputs
        if output.output_type == "display_data"
    ]
    said = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert len(pictures) == 4
    assert len(np.unique(pictures[0].reshape(-1, pictures[0].shape[-1]), axis=0)) > 50, "the object in its colours"
    assert "1 objects; ball has 8 views" in said
    assert "the origin is seen at pixel [32. 32.]" in said
    assert "is not there yet" not in said
    assert "faces in" in said
