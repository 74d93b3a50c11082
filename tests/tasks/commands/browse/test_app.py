"""The data browser over HTTP, and in a browser as its readers use it."""

import io
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


def test_browser_draws_contact_sheets_and_views(address: str) -> None:
    sheet = np.array(Image.open(io.BytesIO(get(f"{address}/sheet/apple.png")[1])))
    assert sheet.shape[1] > 8 * 144
    assert (sheet[..., 0] > 190).mean() > 0.05
    assert Image.open(io.BytesIO(get(f"{address}/view/apple/t03.png")[1])).size == (16, 16)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/object/nobody", 404, "knows none of this uid"),
        ("/sheet/nobody.png", 404, "nobody is not in"),
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
        page.wait_for_selector("img.sheet")
        assert page.evaluate("document.querySelector('img.sheet').naturalWidth") > 8 * 144
        page.go_back()
        page.goto(address)
        page.get_by_text("score … < …").click()
        page.wait_for_url("**reason=**")
        assert page.locator(".results tbody tr").count() == 1
        assert not reader.errors
        assert not reader.strangers
