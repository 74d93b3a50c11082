"""The data browser over HTTP, and in a browser as its readers use it."""

import io
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.__main__ import main
from tasks.artifacts.manifest import Kind
from tasks.commands.browse.app import Data, build_browser
from tasks.commands.web_server import serving
from tasks.outcome import Done
from tests.chromium import visitor
from tests.infra.loopback import free_port
from tests.tasks.commands.browse.small_data import make_data, seal_rows

ROWS = "Object.values(Object.groupBy(document.querySelectorAll('.views a'), at => at.offsetTop)).map(row => row.length)"
SHOWN = "[...document.querySelectorAll('.views img')].map(image => image.naturalWidth)"
"""JavaScript for the number of views in each row, and for the width of each picture that was loaded."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture
def address(data: Path) -> Iterator[str]:
    with serving(build_browser(Data(data), "127.0.0.1"), "127.0.0.1", free_port()) as url:
        yield url


def get(address: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_browser_shows_failures_with_reasons_and_escapes_what_others_wrote(address: str) -> None:
    status, page = get(f"{address}/?status=failed")
    assert status == 200
    assert b"1 found" in page
    assert b"the worker ended by signal 11" in page
    assert b"A &lt;b&gt;cup&lt;/b&gt;" in page
    status, page = get(f"{address}/object/cup")
    assert b"Segmentation fault" in page
    assert b"https://creativecommons.org/licenses/by/4.0/" in page
    assert b"There are no views of it." in page


def test_browser_draws_views_small_and_in_full_and_names_each(address: str) -> None:
    tile = np.array(Image.open(io.BytesIO(get(f"{address}/tile/apple/t03.png")[1])))
    assert tile.shape == (144, 144, 4)
    assert (tile[tile[..., 3] > 127][:, 0] > 190).all()
    assert Image.open(io.BytesIO(get(f"{address}/view/apple/t03.png")[1])).size == (16, 16)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/object/nobody", 404, "knows none of this uid"),
        ("/tile/nobody/t00.png", 404, "nobody is not in"),
        ("/view/apple/t99.png", 404, "apple has no t99.png"),
        ("/view/..%2F..%2Fetc/passwd.png", 404, ""),
        ("/?page=0", 422, "greater than or equal to 1"),
        ("/?words=%25%00%27%22", 200, "Nothing is known of that"),
        ("/?page=99", 200, "Nothing is known of that"),
    ],
)
def test_browser_wrong_addresses_are_answered(address: str, path: str, status: int, words: str) -> None:
    found, page = get(address + path)
    assert found == status
    assert words in page.decode()


def test_browser_damaged_shard_is_a_sentence_beside_the_other_facts(data: Path, address: str) -> None:
    shard = next((data / "views").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:600])
    status, page = get(f"{address}/object/apple")
    assert status == 200
    assert b"The views cannot be shown: " in page
    assert b"is truncated" in page


def test_browser_of_one_object_speaks_of_one(data: Path, address: str) -> None:
    for name in ("catalog", "selected", "objects", "views"):
        shutil.rmtree(data / name)
    seal_rows(data / "normalized", Kind.PLACEMENTS, [Done("apple")])
    assert b"<h1>1 object</h1>" in get(address)[1]


def test_browser_sees_a_stage_that_ends_anew_and_refuses_other_hosts(data: Path, address: str) -> None:
    assert b"5 objects" in get(address)[1]
    seal_rows(data / "normalized", Kind.PLACEMENTS, [Done("apple"), Done("extra")])
    assert b"6 objects" in get(address)[1]
    assert get(address, Host="rebound.example")[0] == 403
    assert get(address, Origin="https://elsewhere.example")[0] == 403


def test_browse_without_data_or_port_is_a_sentence(
    tmp_path: Path, data: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["browse", str(tmp_path / "nowhere")]) == 2
    assert "holds no stage that has ended" in capsys.readouterr().err
    assert main(["browse", str(data), "--port", address.rpartition(":")[2]]) == 2
    assert "cannot be had" in capsys.readouterr().err


@pytest.mark.slow(seconds=3)
def test_browser_is_searched_and_clicked_through(address: str) -> None:
    with visitor() as reader:
        page = reader.page
        page.goto(address)
        page.fill("input[type=search]", "FRUIT")
        page.keyboard.press("Enter")
        page.wait_for_url("**words=FRUIT**")
        assert page.locator(".results tbody tr").count() == 1
        assert page.evaluate("document.querySelector('.results img').naturalWidth") == 96
        page.click(".results a")
        page.wait_for_selector(".views img")
        page.wait_for_load_state()
        for width, columns in ((1280, 8), (390, 4)):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(ROWS) == [columns] * (8 // columns)
            assert page.evaluate(SHOWN) == [144] * 8
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".views a").nth(3).inner_text() == "t03 135/0"
        page.go_back()
        page.goto(address)
        page.get_by_text("score … < …").click()
        page.wait_for_url("**reason=**")
        assert page.locator(".results tbody tr").count() == 1
        assert not reader.errors
        assert not reader.strangers
