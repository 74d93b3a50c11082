"""Tables of results: which numbers are shown, marked and left out."""

from tasks.artifacts.cases import Case
from tasks.report.tables import ResultTable, result_tables

CASES = [
    Case("stage1", "sparse", 1),
    Case("stage3", "sparse", 4),
    Case("stage3", "ring", 1),
]
BASELINES = {"psnr_white": 12.0, "psnr_copy": 14.5, "ssim_white": 0.7, "ssim_copy": 0.75}
SUMMARY = {
    "stage1-sparse-1": {"train": BASELINES | {"psnr": 14.0, "psnr_over_copy": -0.5, "ssim": 0.8, "objects": 2}},
    "stage3-sparse-4": {
        "train": BASELINES | {"psnr": 20.0, "psnr_over_copy": 5.5, "ssim": 0.8, "objects": 2, "chamfer": 0.0123},
        "held_out": BASELINES | {"psnr": 16.0, "psnr_over_copy": 1.5, "ssim": 0.8, "objects": 1},
    },
    "stage3-ring-1": {"train": BASELINES | {"psnr": 18.0, "psnr_over_copy": 3.5, "ssim": 0.8, "objects": 2}},
}


def column(table: ResultTable, title: str) -> list[tuple[str, str]]:
    index = table.columns.index(title)
    return [cells[index] for _, cells in table.rows]


def test_result_tables_stand_by_protocol_then_group_with_training_objects_first() -> None:
    tables = list(result_tables(CASES, SUMMARY))
    assert [(table.protocol, table.group) for table in tables] == [
        ("sparse", "train"),
        ("sparse", "held_out"),
        ("ring", "train"),
    ]
    assert [title for title, _ in tables[0].rows] == [
        "Stage 1, 1 view given",
        "Stage 3, 4 views given",
        "All white",
        "First given view, copied",
    ]


def test_result_table_marks_the_best_and_the_sign_and_shows_the_baselines() -> None:
    table = next(result_tables(CASES, SUMMARY))
    assert column(table, "PSNR (dB) ↑") == [("14.00", ""), ("20.00", "best"), ("12.00", "soft"), ("14.50", "soft")]
    assert column(table, "over copy") == [("\N{MINUS SIGN}0.50", "bad"), ("+5.50", "good"), ("", "soft"), ("", "soft")]
    assert column(table, "objects") == [("2", ""), ("2", ""), ("", "soft"), ("", "soft")]


def test_result_table_equal_values_are_all_the_best() -> None:
    assert column(next(result_tables(CASES, SUMMARY)), "SSIM ↑")[:2] == [("0.800", "best"), ("0.800", "best")]


def test_result_table_metric_that_a_case_lacks_is_blank_and_one_that_all_lack_is_no_column() -> None:
    table = next(result_tables(CASES, SUMMARY))
    assert column(table, "Chamfer ↓")[:2] == [("", ""), ("0.0123", "best")]
    assert "LPIPS ↓" not in table.columns


def test_result_table_of_one_case_has_no_best() -> None:
    assert column(list(result_tables(CASES, SUMMARY))[1], "PSNR (dB) ↑")[0] == ("16.00", "")
