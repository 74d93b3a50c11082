"""What the report says of the chosen objects."""

from tasks.artifacts.manifest import Manifest
from tasks.report.data_summary import score_chart, summarise_data
from tests.tasks.made_run import CATALOG_FACTS, SELECT_FACTS


def test_data_summary_has_a_row_for_each_rule_licence_and_table() -> None:
    catalog = Manifest("catalog", "", {}, facts=CATALOG_FACTS)
    select = Manifest("selected", "", {"min_score": 5.0}, facts=SELECT_FACTS)
    summary = summarise_data({"catalog": catalog, "select": select})
    assert summary.dropped == (("min_score", 2),)
    assert summary.licences == (("CC-BY-4.0", 4, 3), ("unknown", 1, 0))
    assert summary.scores[2] == ("classes.parquet", "quality", 9, 5, 5, 4, 0)
    assert summary.agreements == (("first.csv", "second.csv", 5, "0.70", 3, 0, 0, 2),)
    assert summary.histogram is not None


def test_score_chart_has_one_scale_or_two_and_equal_bytes() -> None:
    tables = CATALOG_FACTS["scores"]
    both = score_chart(tables, 5.0)
    assert both == score_chart(tables, 5.0)
    assert [chart.count(b'id="axes_') for chart in (both, score_chart(tables[:1], 5.0))] == [2, 1]
    assert b'id="axes_1"' in score_chart(tables[2:], 5.0)
