"""The example of docs/rendering.md runs as it stands."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.toys import write_box

pytestmark = pytest.mark.blender
pytest.importorskip("render.blender.views")
ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"## One object\n.*?```python\n(.*?)```", re.DOTALL)


def test_example_of_the_documentation_renders_eight_views_of_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = EXAMPLE.search((ROOT / "docs" / "rendering.md").read_text())
    assert example is not None
    write_box(tmp_path / "object.glb")
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example[1], "docs/rendering.md", "exec"), names)
    views = names["views"]
    assert isinstance(views, list)
    assert [camera.name for camera in names["cameras"]] == [f"t{index:02d}" for index in range(8, 16)]  # type: ignore[attr-defined]
    assert all(view.rgba.shape == (128, 128, 4) and view.rgba[64, 64, 3] == 255 for view in views)
    sheet = np.asarray(Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes())))
    assert len(np.unique(sheet.reshape(-1, sheet.shape[-1]), axis=0)) > 10
