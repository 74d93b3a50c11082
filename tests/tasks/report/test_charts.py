"""Charts: the same bytes for the same numbers, on any machine's settings, and the numbers in them."""

from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np

from tasks.artifacts.cases import Case
from tasks.report.charts import MAX_POINTS, Curve, loss_chart, psnr_chart, shorten
from tasks.report.curves import condition_curves

CASES = [Case("stage1", "sparse", 1), Case("stage3", "ring", 1)]
SUMMARY = {
    "stage1-sparse-1": {
        "train": {"psnr": 15.24, "psnr_white": 12.0, "psnr_copy": 14.0},
        "held_out": {"psnr": 13.46, "psnr_white": 11.0, "psnr_copy": 14.5},
    },
    "stage3-ring-1": {"train": {"psnr": 21.0, "psnr_white": 12.0, "psnr_copy": 17.0}},
}
"""One case lacks held-out objects."""


def curve(num_points: int, last: float = 0.02) -> Curve:
    return np.stack([np.arange(1, num_points + 1) * 80.0, np.geomspace(1.0, last, num_points)], axis=1)


def texts(svg: bytes) -> set[str]:
    """What is written in a chart: matplotlib notes the text of each group of glyphs in a comment."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(svg, parser)
    is_comment: Any = ElementTree.Comment  # a comment's tag is the function that makes comments
    return {str(node.text).strip() for node in root.iter() if node.tag is is_comment}


def test_charts_same_numbers_give_the_same_bytes_whatever_the_users_settings() -> None:
    curves = {"training loss": curve(50), "validation loss": curve(5)}
    before = loss_chart(curves), psnr_chart(CASES, SUMMARY)
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "none", "lines.linewidth": 9}):
        settings = dict(mpl.rcParams)
        assert (loss_chart(curves), psnr_chart(CASES, SUMMARY)) == before
        assert dict(mpl.rcParams) == settings
    assert b"<dc:date>" not in before[0] + before[1]


def test_loss_chart_names_its_axes_and_curves() -> None:
    assert {"samples seen", "loss", "training loss", "4k"} <= texts(loss_chart({"training loss": curve(50)}))


def test_loss_chart_of_a_narrow_range_still_has_several_marks_on_its_axis() -> None:
    assert {"0.8", "0.85", "0.9", "0.95", "1"} <= texts(loss_chart({"training loss": curve(9, last=0.8)}))


def test_loss_chart_with_a_loss_of_zero_or_a_single_point_is_drawn() -> None:
    flat = np.array([[80.0, 0.0], [160.0, 0.5], [240.0, 0.0]])
    assert {"0", "0.5"} <= texts(loss_chart({"training loss": flat}))
    assert "loss" in texts(loss_chart({"training loss": flat[1:2]}))


def test_psnr_chart_shows_each_case_its_value_and_the_baselines() -> None:
    shown = texts(psnr_chart(CASES, SUMMARY))
    assert {"15.2", "13.5", "21.0"} <= shown
    assert {"Stage 1, 1 view given", "Stage 3, 1 view given, ring", "PSNR (dB)"} <= shown
    assert {"training objects", "held-out objects", "All white", "First given view, copied"} <= shown


def test_psnr_chart_leaves_out_what_has_no_views_and_draws_what_has_no_baselines() -> None:
    cases = [*CASES, Case("meshes", "gso", 1), Case("peer", "gso", 1)]
    others = {"meshes-gso-1": {"scan": {"chamfer": 0.1}}, "peer-gso-1": {"scan": {"psnr": 17.26, "psnr_se": 0.5}}}
    shown = texts(psnr_chart(cases, SUMMARY | others))
    assert {"17.3", "peer, 1 view given, gso"} <= shown
    assert not [text for text in shown if "meshes" in text]


def test_condition_curves_have_every_method_and_the_published_one_beside_scans() -> None:
    cases = [Case("stage3", "sparse", 4), Case("stage3", "sparse", 1), Case("peer", "sparse", 1)]
    row = {"psnr": 15.0, "psnr_se": 0.1, "chamfer": 0.1}
    ((group, svg),) = condition_curves(cases, {case.name: {"scan": row} for case in cases})
    assert group == "scan"
    assert {"Stage 3", "peer", "given views", "volume IoU ↑", "4", "10", "MVDiffusion++ (published)"} <= texts(svg)
    assert list(condition_curves(cases[:1], {cases[0].name: {"scan": row}})) == []


def test_shorten_long_curve_becomes_means_of_stretches() -> None:
    long = curve(10 * MAX_POINTS)
    short = shorten(long)
    assert short.shape == (MAX_POINTS, 2)
    np.testing.assert_allclose(short[3], long[30:40].mean(axis=0))


def test_shorten_short_curve_stays() -> None:
    np.testing.assert_array_equal(shorten(curve(7)), curve(7))
