from pathlib import Path

import pytest

from tests.bench.reconstruct import Row, main, summarise


def test_summary_counts_objects_where_both_numbers_beat_the_hull() -> None:
    rows = [
        Row("shoe", "hull", 0.013, 0.013, 0.5, 2.0),
        Row("shoe", "sdf", 0.012, 0.012, 0.6, 30.0),
        Row("lion", "hull", 0.004, 0.004, 0.9, 2.0),
        Row("lion", "sdf", 0.003, 0.003, 0.8, 50.0),
    ]
    summary = summarise(rows)
    assert summary["sdf"] == pytest.approx(
        {"chamfer": 0.0075, "chamfer_area": 0.0075, "iou": 0.7, "seconds": 40.0, "better": 1.0}
    )
    assert summary["hull"]["better"] == 0


def test_bench_of_a_folder_without_meshes_says_what_it_looks_for(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"holds no <name>/model.obj or \*.glb"):
        main(["--folder", str(tmp_path)])
