"""The page as a document: valid, escaped, complete in one folder."""

from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from pydantic import BaseModel

from flows.params import load_params
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import Manifest
from tasks.report.gallery import Panel, Row, ShownObject
from tasks.report.ledger import StageLedger
from tasks.report.page import Report, render_page
from tasks.report.pictures import save_picture
from tasks.report.tables import ResultTable
from tasks.report.verdicts import Verdict
from tests.tasks.made_run import PARAMS
from tests.tasks.report.strict_html import StrictPage

HOSTILE = """<script>alert('1') & "2"</script>"""
NAME = "<b>#1? 100% & 'so' on"
"""A file name that means something else in HTML and in a URL."""


def manifest(config: BaseModel) -> Manifest:
    return Manifest("kind", HOSTILE, config.model_dump(mode="json"), counts={"done": 3, "rejected": 2, "failed": 1})


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Everything that comes from data says HOSTILE."""
    params = load_params(PARAMS)
    views = replace(save_picture(tmp_path, f"{NAME}.png", b"", HOSTILE), sheet=f"{NAME}-all.png")
    save_picture(tmp_path, f"{NAME}-all.png", b"", HOSTILE)
    plain = save_picture(tmp_path, "plain.png", b"", HOSTILE)
    panel = Panel(plain, 1, (Row("Truth", "", views, plain), Row(HOSTILE, HOSTILE, views, None)))
    return Report(
        manifests={
            "render": manifest(params.render),
            "sample": manifest(params.sample),
            HOSTILE: manifest(params.catalog),
        },
        num_tested=1,
        headline=Case(HOSTILE, "sparse", 1),
        headline_psnr={HOSTILE: 20.0},
        overview=plain,
        verdicts=(Verdict(HOSTILE, True, HOSTILE), Verdict(HOSTILE, False, HOSTILE)),
        tables=(ResultTable("ring", HOSTILE, (HOSTILE,), ((HOSTILE, ((HOSTILE, HOSTILE),)),)),),
        objects=(ShownObject(HOSTILE, HOSTILE, {"sparse": panel, "ring": panel, "gso": panel}),),
        trainings=((HOSTILE, plain),),
        ledgers=(
            StageLedger(
                HOSTILE,
                {"done": 1, "rejected": 300, "failed": 1},
                tuple((HOSTILE, HOSTILE, HOSTILE) for _ in range(301)),
                ((HOSTILE, HOSTILE, (HOSTILE,)),),
            ),
        ),
        sheets=((HOSTILE, plain),),
    )


def test_page_text_that_looks_like_markup_is_shown_as_text(report: Report) -> None:
    html = render_page(report)
    page = StrictPage(html)
    assert "script" not in page.tags
    assert "<script" not in html
    assert page.text.count(HOSTILE) > 600
    assert set(page.images.values()) == {HOSTILE}


def test_page_file_names_that_look_like_markup_or_urls_are_found(report: Report, tmp_path: Path) -> None:
    page = StrictPage(render_page(report))
    assert len([link for link in page.links if "100" in link]) == 12
    assert page.missing_targets(tmp_path) == []


def test_page_long_ledger_is_cut_and_says_so(report: Report) -> None:
    text = StrictPage(render_page(report)).text
    assert "why 301 are missing" in text
    assert "The first 200 of 301; all are in ledger.jsonl." in text


def test_page_without_mesh_says_why(report: Report) -> None:
    assert StrictPage(render_page(report)).text.count("no mesh: the views enclose nothing") == 3


def test_page_that_lacks_a_value_is_not_written(report: Report) -> None:
    manifests = {**report.manifests, "render": replace(report.manifests["render"], config={})}
    with pytest.raises(UndefinedError, match="elevations_deg"):
        render_page(replace(report, manifests=manifests))


@pytest.mark.parametrize(
    "html",
    [
        "<p>a",
        "<div><p>a</div></p>",
        "</p>",
        "<p><div></div></p>",
        '<i id="a"></i><i id="a"></i>',
        '<img src="a" alt="">',
    ],
)
def test_strict_page_refuses_what_is_not_valid(html: str) -> None:
    with pytest.raises(AssertionError):
        StrictPage(html)
