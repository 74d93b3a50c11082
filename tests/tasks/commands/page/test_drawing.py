"""What the page does when it draws, without a browser."""

import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from flows.models import resolve_model
from models.network.noise import build_scheduler
from tasks.commands.cut_outs import CutOut, Matting, cut_out
from tasks.commands.page.drawing import Drawer, Progress
from tasks.commands.sampler import Compute, SampledViews, SampleSettings
from tasks.commands.uploads import Photos
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.commands.bad_photos import ball


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "toy"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def photo(tmp_path: Path) -> CutOut:
    return cut_out(ball(tmp_path / "ball.png"), Matting())


@pytest.fixture
def drawer() -> Drawer:
    return Drawer(Compute("cpu", "fp32"), partial(resolve_model, root=Path.cwd(), profile_name="laptop"))


@pytest.mark.slow(seconds=3)
def test_drawing_tells_of_each_step_and_a_visitor_who_leaves_stops_it(
    model: str, photo: CutOut, drawer: Drawer, tmp_path: Path
) -> None:
    images: list[Image.Image] = [photo.image]
    left = drawer.draw(model, images, SampleSettings(steps=1000), 0, tmp_path / "left")
    told = [next(left) for _ in range(3)]
    words = [one.words.split(",")[0] for one in told if isinstance(one, Progress)]
    assert words == [f"loading {model}", "step 1 of 1000", "step 2 of 1000"]
    left.close()
    began = time.monotonic()
    news = list(drawer.draw(model, images, SampleSettings(steps=2), 0, tmp_path / "drawn"))
    assert time.monotonic() - began < 60  # a thousand steps take longer
    assert [one.share for one in news if isinstance(one, Progress)] == [0.0, 0.5, 1.0, 1.0]
    assert isinstance(news[-1], SampledViews)
    assert (tmp_path / "drawn" / "mesh.glb").exists()
    assert not (tmp_path / "left").exists()


@pytest.mark.slow(seconds=1)
def test_drawing_without_room_on_the_disk_is_a_sentence_and_leaves_nothing(
    model: str, photo: CutOut, drawer: Drawer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.commands.page.app import _draw_with  # Gradio costs every session of tests two seconds

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    folder = tmp_path / "making"
    draw = _draw_with(drawer, folder)
    *_, last = draw(Photos([photo]), None, model, 2, 1.0, 0)
    assert "the views cannot be written (No such file or directory)" in last[1]
    folder.mkdir()
    monkeypatch.setattr("tasks.commands.page.drawing.write_sample", full)
    *_, last = draw(Photos([photo]), None, model, 2, 1.0, 0)
    assert "cannot be written (No space left on device): free some space, then draw again" in last[1]
    assert not list(folder.iterdir())
