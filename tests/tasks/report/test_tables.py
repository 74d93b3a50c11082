"""Tables of results: which numbers are shown, marked and left out."""

from tasks.artifacts.cases import Case
from tasks.report.tables import Cell, ResultTable, result_tables

CASES = [
    Case("stage1", "sparse", 1),
    Case("stage3", "sparse", 4),
    Case("stage3", "ring", 1),
]
BASELINES = {"psnr_white": 12.0, "psnr_copy": 14.5, "ssim_white": 0.7, "ssim_copy": 0.75}
SUMMARY = {
    "stage1-sparse-1": {
        "train": BASELINES | {"psnr": 14.0, "psnr_over_copy": -0.5, "ssim": 0.8, "objects": 2, "roundness": 0.25}
    },
    "stage3-sparse-4": {
        "train": BASELINES
        | {"psnr": 20.0, "psnr_se": 1.25, "psnr_over_copy": 5.5, "ssim": 0.8, "objects": 2, "chamfer": 0.0123},
        "held_out": BASELINES | {"psnr": 16.0, "psnr_over_copy": 1.5, "ssim": 0.8, "objects": 1},
    },
    "stage3-ring-1": {"train": BASELINES | {"psnr": 18.0, "psnr_over_copy": 3.5, "ssim": 0.8, "objects": 2}},
}


def column(table: ResultTable, title: str) -> list[Cell]:
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
    assert column(table, "PSNR (dB) ↑") == [
        Cell("14.00"),
        Cell("20.00", error="± 1.25", mark="best"),
        Cell("12.00", mark="soft"),
        Cell("14.50", mark="soft"),
    ]
    assert column(table, "over copy")[:2] == [Cell("\N{MINUS SIGN}0.50", mark="bad"), Cell("+5.50", mark="good")]
    assert column(table, "objects") == [Cell("2"), Cell("2"), Cell(mark="soft"), Cell(mark="soft")]


def test_result_table_equal_values_are_all_the_best() -> None:
    assert column(next(result_tables(CASES, SUMMARY)), "SSIM ↑")[:2] == [Cell("0.800", mark="best")] * 2


def test_result_table_metric_that_a_case_lacks_is_blank_and_one_that_all_lack_is_no_column() -> None:
    table = next(result_tables(CASES, SUMMARY))
    assert column(table, "Chamfer ↓")[:2] == [Cell(), Cell("0.0123")]
    assert "LPIPS ↓" not in table.columns


def test_result_table_metric_without_a_title_stands_last_under_its_name() -> None:
    table = next(result_tables(CASES, SUMMARY))
    assert table.columns[-1] == "roundness"
    assert column(table, "roundness")[0] == Cell("0.2500")
    assert not [title for title in table.columns if title.endswith(("_se", "_white", "_copy"))]


def test_result_table_of_one_case_has_no_best() -> None:
    assert column(list(result_tables(CASES, SUMMARY))[1], "PSNR (dB) ↑")[0] == Cell("16.00")


def test_result_table_says_how_many_objects_were_drawn_turned_right_and_how_many_are_counted_apart() -> None:
    counted = {"azimuth_alike": 0.25, "azimuth_hit_rate": 2 / 3, "azimuth_hit_rate_n": 6, "azimuth_chance": 1 / 6}
    rows = {"stage1-sparse-1": {"azimuth_alike": 1.0}, "stage3-sparse-4": counted}
    summary = {case: {"held_out": BASELINES | {"psnr": 14.0, "objects": 8} | row} for case, row in rows.items()}
    both, one = (next(result_tables(cases, summary)) for cases in (CASES[:2], CASES[:1]))
    assert both.note.startswith(
        "Azimuth: Stage 3, 4 views given, draws 4 of 6 objects turned right, where guessing would 1.0:"
    )
    assert both.note.endswith(" 2 more look alike after every turn and are not counted.")
    assert one.note.startswith("Azimuth: all 8 objects look alike")
    assert column(both, "azimuth hits ↑")[:2] == [Cell(""), Cell("0.67")]
    assert "azimuth_alike" not in both.columns
    assert next(result_tables(CASES, SUMMARY)).note == ""
