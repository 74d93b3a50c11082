"""The page as a document: valid, escaped, complete in one file."""

from dataclasses import replace

import numpy as np
import pytest
from jinja2 import UndefinedError
from pydantic import BaseModel

from flows.params import load_params
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import Manifest
from tasks.report.data_checks import DataCheck, DataChecks
from tasks.report.data_summary import DataSummary
from tasks.report.extremes import CaseExtremes, Extreme
from tasks.report.gallery import Panel, Row, ShownObject
from tasks.report.ledger import StageLedger
from tasks.report.page import Report, render_page
from tasks.report.paper_tables import PaperRow, PaperTable
from tasks.report.pictures import picture
from tasks.report.tables import Cell, ResultTable
from tasks.report.verdicts import Verdict
from tasks.report.viewer import TurningMesh
from tests.tasks.made_run import PARAMS
from tests.tasks.report.strict_html import StrictPage

HOSTILE = """<script>alert('1') & "2"</script>"""


def manifest(config: BaseModel) -> Manifest:
    return Manifest("kind", HOSTILE, config.model_dump(mode="json"), counts={"done": 3, "rejected": 2, "failed": 1})


@pytest.fixture(scope="module")
def report() -> Report:
    """Everything that comes from data says HOSTILE."""
    params = load_params(PARAMS)
    plain = picture(np.zeros((4, 4, 4), np.uint8), HOSTILE)
    cell = Cell(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    mesh = TurningMesh(HOSTILE, "AAAA", 1000)
    rows = (Row("Truth", (), plain, plain), Row(HOSTILE, (HOSTILE,), None, None))
    panels = tuple(Panel(protocol, plain, 1, rows, plain, (mesh,), 45.0) for protocol in ("sparse", "ring", "gso"))
    case, extreme = Case(HOSTILE, "sparse", 1), Extreme(HOSTILE, HOSTILE, HOSTILE, plain)
    return Report(
        manifests={
            "render": manifest(params.render),
            "sample": manifest(params.sample),
            HOSTILE: manifest(params.catalog),
        },
        num_tested=2,
        headline=case,
        headline_psnr={HOSTILE: 20.0},
        overview=plain,
        verdicts=(Verdict(HOSTILE, True, HOSTILE), Verdict(HOSTILE, False, HOSTILE)),
        paper_tables=(PaperTable(1, HOSTILE, (HOSTILE,), (PaperRow(HOSTILE, 1, 3, (cell,), HOSTILE),), (HOSTILE,)),),
        curves=((HOSTILE, plain),),
        tables=(ResultTable("ring", HOSTILE, (HOSTILE,), ((HOSTILE, (Cell(HOSTILE, HOSTILE, HOSTILE),)),), HOSTILE),),
        extremes=(CaseExtremes(case, 2, extreme, extreme),),
        objects=(ShownObject(HOSTILE, HOSTILE, panels),),
        trainings=((HOSTILE, plain),),
        data=DataSummary(
            dropped=((HOSTILE, 2),),
            licences=((HOSTILE, 3, 2),),
            scores=((HOSTILE, HOSTILE, 5, 4, 3, 2, 1),),
            agreements=((HOSTILE, HOSTILE, 9, HOSTILE, 3, 2, 1, 3),),
            histogram=plain,
        ),
        ledgers=(
            StageLedger(
                HOSTILE,
                {"done": 1, "rejected": 300, "failed": 1},
                tuple((HOSTILE, HOSTILE, HOSTILE) for _ in range(301)),
                ((HOSTILE, 301),),
                ((HOSTILE, HOSTILE, (HOSTILE,)),),
            ),
        ),
        checks=DataChecks(
            (DataCheck(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,)),),
            plain,
            plain,
            ((HOSTILE, HOSTILE, HOSTILE),),
        ),
        sheets=((HOSTILE, plain),),
    )


def test_page_text_that_looks_like_markup_is_shown_as_text(report: Report) -> None:
    html = render_page(report)
    page = StrictPage(html)
    assert html.count("<script") == 2  # three.js and templates/viewer.js
    assert "alert(" not in "".join(page.scripts)
    assert page.text.count(HOSTILE) > 600
    assert set(page.images.values()) == {HOSTILE}


def test_page_needs_no_file_beside_it_and_nothing_from_a_network(report: Report) -> None:
    page = StrictPage(render_page(report))
    assert {link.partition(":")[0] if ":" in link else link[0] for link in page.links} == {"#", "data"}
    assert not {"link", "iframe", "object"} & page.tags
    assert "@import" not in page.styles
    assert "url(" not in page.styles


def test_page_says_what_it_leaves_out(report: Report) -> None:
    assert "The first 1 of 2 objects are shown" in StrictPage(render_page(report)).text
    assert "All objects are shown." in StrictPage(render_page(replace(report, num_tested=1))).text


def test_page_tables_have_captions_and_meshes_can_be_reached_by_keyboard(report: Report) -> None:
    html = render_page(report)
    assert html.count("<table") == html.count("<caption>") > 6
    assert html.count("<canvas") == html.count('<canvas tabindex="0" role="img" aria-label=') == 3


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
