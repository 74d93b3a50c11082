"""Tables 1 and 2 in the paper's layout: which rows and objects they hold, and why a cell is empty."""

from tasks.artifacts.cases import Case
from tasks.report.paper_tables import NO_MESH, NO_WEIGHTS, NOT_PUBLISHED, PaperRow, PaperTable, paper_tables

GSO, SPARSE, MESHES = Case("stage3", "gso", 1), Case("stage3", "sparse", 4), Case("hull", "gso", 1)
CASES = [GSO, Case("stage3", "ring", 1), SPARSE, MESHES]
VIEWS = {"psnr": 20.0, "psnr_se": 0.256, "ssim_inner": 0.8, "objects": 3.0}
SUMMARY = {
    GSO.name: {"gso": VIEWS},
    "stage3-ring-1": {"scan": VIEWS},
    SPARSE.name: {"held_out": VIEWS, "train": VIEWS, "scan": VIEWS | {"psnr": 21.0}},
    MESHES.name: {"gso": {"chamfer": 0.01234, "volume_iou": 0.5, "objects": 2.0}},
}


def own_rows(table: PaperTable) -> list[PaperRow]:
    return [row for row in table.rows if not row.is_published]


def test_paper_tables_take_the_files_as_given_before_the_ring_and_scans_before_other_objects() -> None:
    single, sparse = paper_tables(CASES, SUMMARY)
    assert [(row.title, row.num_objects) for row in own_rows(single)] == [("Stage 3", 3), ("hull", 2)]
    assert "gso" in single.caption
    assert own_rows(sparse)[0].cells[2].text == "21.00"
    assert "test scans" in sparse.caption


def test_paper_table_has_the_published_rows_with_their_source_and_difference() -> None:
    single, sparse = paper_tables(CASES, SUMMARY)
    published = {(row.title, row.conditions): row for row in (*single.rows, *sparse.rows) if row.is_published}
    assert [cell.text for cell in published["MVDiffusion++", 10].cells] == [
        "0.0101",
        "0.8046",
        "25.03",
        "0.899",
        "0.102",
    ]
    assert "ICP" in published["Wonder3D", 1].note
    assert published["Wonder3D", 1].cells[2].note == NOT_PUBLISHED
    assert all(row.note in (*single.notes, *sparse.notes) for row in published.values())


def test_paper_table_missing_cell_is_a_dash_with_its_reason_and_a_number_has_its_error() -> None:
    single, _ = paper_tables(CASES, SUMMARY)
    stage, meshes = own_rows(single)
    assert [cell.text for cell in stage.cells] == ["–", "–", "20.00", "0.800", "–"]  # noqa: RUF001
    assert [cell.note for cell in stage.cells] == [NO_MESH, NO_MESH, "", "", NO_WEIGHTS]
    assert stage.cells[2].error == "± 0.26"
    assert meshes.cells[0].text == "0.0123"
    assert {NO_MESH, NO_WEIGHTS} <= set(single.notes)


def test_paper_tables_of_a_run_without_one_protocol_still_stand() -> None:
    single, sparse = paper_tables([GSO], SUMMARY)
    assert len(own_rows(single)) == 1
    assert own_rows(sparse) == []
    assert "nothing was sampled for it" in sparse.caption
