"""The page for photos, served with a toy model and driven in a browser as a visitor does."""

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.__main__ import main
from flows.models import resolve_model
from flows.page import saved_models
from models.network.noise import build_scheduler
from tasks.commands.page.drawing import Drawer
from tasks.commands.page.options import PageOptions
from tasks.commands.sampler import Compute
from tests.chromium import Visitor, visitor
from tests.infra.loopback import free_port
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.commands import bad_photos
from tests.tasks.commands.bad_photos import ball

pytestmark = pytest.mark.slow(seconds=12)
CANVAS = "document.querySelector('#mesh canvas').toDataURL()"
"""JavaScript for the picture of the mesh as it is shown now."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that takes what visitors bring and get."""
    return tmp_path_factory.mktemp("visitors")


@pytest.fixture(scope="module")
def address(model: Path, visitors: Path) -> Iterator[str]:
    from tasks.commands.page.app import served_page  # Gradio costs every session of tests two seconds

    drawer = Drawer(Compute("cpu", "fp32"), partial(resolve_model, root=Path.cwd(), profile_name="laptop"))
    with served_page(PageOptions(port=free_port()), drawer, [str(model)], visitors) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Visitor]:
    with visitor() as one:
        yield one


@pytest.fixture
def guest(browser: Visitor, address: str) -> Visitor:
    """A visitor who has just come."""
    browser.requests.clear()
    browser.page.goto(address)
    browser.page.wait_for_selector("button#draw")
    return browser


def drop(guest: Visitor, *paths: Path) -> str:
    """Bring photos, and return what the page says of them."""
    guest.page.set_input_files("#photos input[type=file]", [str(path) for path in paths])
    guest.page.wait_for_selector("#found .findings")
    return guest.page.inner_text("#found")


def test_page_keeps_what_visitors_bring_in_the_folder_that_goes_with_it(
    guest: Visitor, visitors: Path, tmp_path: Path
) -> None:
    drop(guest, ball(tmp_path / "only_here.png"))
    assert len(list(visitors.rglob("only_here.png"))) == 1


def test_page_photos_become_turning_views_a_mesh_and_an_archive(guest: Visitor, tmp_path: Path) -> None:
    page = guest.page
    words = drop(guest, ball(tmp_path / "front.png"), ball(tmp_path / "side.png", x=11))
    assert "60 x 40, cut out by its plain background, 18% of the image" in words
    assert "cut at the left border" in words
    assert page.locator("#found figure img.cut").count() == 2
    page.get_by_text("Settings").click()
    page.fill("#steps input", "3")
    page.click("button#draw")
    page.wait_for_selector("#views .turntable")
    assert page.locator("#views .stage img").count() == 8
    page.wait_for_selector("#mesh .mesh[data-state=drawn]")  # then nothing moves any more
    assert len(set(three_turns(guest))) == 3
    before = page.evaluate(CANVAS)
    covered = np.array(Image.open(io.BytesIO(base64.b64decode(before.partition(",")[2]))))[..., 3] > 0
    assert 0 < covered.mean() < 0.9  # the mesh of a model that has learnt nothing is some crumbs
    page.locator("#mesh canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"before => {CANVAS} !== before", arg=before)
    with page.expect_download() as download:
        page.click("#mesh a[download]")
    assert Path(download.value.path()).read_bytes().startswith(b"glTF")
    with page.expect_download() as download:
        page.click("#archive")
    names, view = unpacked(Path(download.value.path()))
    assert {"t07.png", "mesh.ply", "mesh.glb", "turntable.gif", "turntable.mp4", "cutouts/c01.png"} < names
    assert view.shape == (16, 16, 4)
    assert not guest.errors
    assert not guest.strangers, "the page asked for something beyond this machine"


@pytest.mark.slow(seconds=3)
def test_page_box_that_is_dragged_and_mask_that_is_given_cut_the_object_out(guest: Visitor, tmp_path: Path) -> None:
    page = guest.page
    said = drop(guest, bad_photos.before_leaves(tmp_path / "front.png"))
    assert "its background is not plain" in said
    assert "or drag a box around the object on its photo" in said
    place = page.locator("#found .frame").bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 0.24 * place["width"], place["y"] + 0.1 * place["height"])
    page.mouse.down()
    page.mouse.move(place["x"] + 0.76 * place["width"], place["y"] + 0.9 * place["height"], steps=3)
    page.mouse.up()
    page.wait_for_selector("#found img.cut")
    assert "cut out by GrabCut" in page.inner_text("#found")
    page.click("#found button.unbox")
    page.wait_for_selector("#found .fault")
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((10, 10), (20, 20)))).save(tmp_path / "any.png")
    page.set_input_files("#masks input[type=file]", [str(tmp_path / "any.png")])
    page.wait_for_selector("#found img.cut")
    assert "cut out by the given mask, 17% of the image" in page.inner_text("#found")
    assert not guest.errors


def three_turns(guest: Visitor) -> Iterator[str | None]:
    """Turn the views by slider and by dragging, and yield the picture that is shown each time."""
    shown = guest.page.locator("#views .stage img.shown")
    yield shown.get_attribute("src")
    guest.page.locator("#views input.column").fill("2")
    assert "azimuth 180°" in guest.page.inner_text("#views .words")
    yield shown.get_attribute("src")
    stage = guest.page.locator("#views .stage")
    stage.evaluate("stage => stage.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = stage.bounding_box()
    assert box is not None
    guest.page.mouse.move(box["x"] + 100, box["y"] + 100)
    guest.page.mouse.down()
    guest.page.mouse.move(box["x"] + 130, box["y"] + 100)
    guest.page.mouse.up()
    yield shown.get_attribute("src")


def unpacked(path: Path) -> tuple[set[str], np.ndarray]:
    """Return the names in a downloaded archive, and its first view."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        return set(archive.namelist()), np.array(Image.open(io.BytesIO(archive.read("t00.png"))))


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (bad_photos.text_file, "letter.txt", "letter.txt is no image that can be read"),
        (bad_photos.picture_of_100_megapixels, "large.png", "100 megapixels; at most 64 are read; save it smaller"),
        (bad_photos.picture_bomb, "bomb.png", "4225 megapixels; at most 64 are read"),
        (bad_photos.empty_wall, "wall.png", "shows nothing but its background"),
        (bad_photos.truncated, "half.png", "half.png is damaged or cut off"),
    ],
)
@pytest.mark.slow(seconds=2)
def test_page_bad_photo_is_one_sentence_and_nothing_is_drawn_from_it(
    guest: Visitor, tmp_path: Path, make: Callable[[Path], Path], name: str, words: str
) -> None:
    said = drop(guest, make(tmp_path / name))
    assert words in said
    assert str(tmp_path) not in said
    assert "/" not in said.split(words)[0]
    assert guest.page.locator("#found .fault").count() == 1
    guest.page.click("button#draw")
    guest.page.wait_for_selector("#told .fault")
    assert "there is no photo to draw from" in guest.page.inner_text("#told")


@pytest.mark.slow(seconds=2)
def test_page_identical_too_many_and_moving_photos_are_told_apart(guest: Visitor, tmp_path: Path) -> None:
    same = [ball(tmp_path / f"same{number}.png") for number in range(10)]
    said = drop(guest, *same)
    assert "show the same picture as same0.png, which is used once" in said
    assert guest.page.locator("#found figure").count() == 1
    guest.page.reload()
    guest.page.wait_for_selector("button#draw")
    assert "11 photos were given; at most 10 are taken: leave 1 out" in drop(guest, *same, ball(tmp_path / "one.png"))
    guest.page.reload()
    guest.page.wait_for_selector("button#draw")
    assert "holds 3 pictures, the first is taken" in drop(guest, bad_photos.animation(tmp_path / "moving.gif"))


@pytest.mark.slow(seconds=3)
def test_page_what_the_model_cannot_do_is_a_sentence_and_the_next_visitor_is_served(
    guest: Visitor, tmp_path: Path
) -> None:
    photos = [ball(tmp_path / f"{x}.png", x=x) for x in (24, 28, 32, 36)]
    drop(guest, *photos)
    guest.page.click("button#draw")
    guest.page.wait_for_selector("#told .fault")
    assert "there are 4 photos" in guest.page.inner_text("#told")
    assert "takes at most 3: leave 1 out" in guest.page.inner_text("#told")
    guest.page.fill("#model input", "nowhere/at/all!")
    guest.page.keyboard.press("Enter")
    guest.page.click("button#draw")
    guest.page.wait_for_selector("#told .fault:has-text('nowhere')")
    assert "is no folder here, and no id at a hub" in guest.page.inner_text("#told")


@pytest.mark.slow(seconds=2)
def test_page_offers_the_newest_model_and_refuses_a_port_in_use(
    model: Path, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("old", "new"):
        (tmp_path / "models_out" / name).mkdir(parents=True)
        (tmp_path / "models_out" / name / "model_index.json").write_text("{}")
    assert set(saved_models(tmp_path)) == {"models_out/old", "models_out/new"}
    port = address.rstrip("/").rpartition(":")[2]
    assert main(["page", "--model", str(model), "--port", port]) == 2
    assert f"port {port} of 127.0.0.1 cannot be had" in capsys.readouterr().err
    assert main(["page", "--model", str(tmp_path / "nowhere")]) == 2
    assert "is no folder here" in capsys.readouterr().err
