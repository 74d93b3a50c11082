"""Tables of aesthetic scores."""

import gzip
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from infra.storage.store import RemoteStore
from tasks.sources.score_tables import ScoreTable, load_score_table, read_score_table, scores_in
from tasks.sources.spreadsheet import read_table
from tests.infra.server import WebServer
from tests.tasks.toolbox import make_tools

PLAIN = "uid,aesthetic_score\nabc,4.5\ndef,\nghi,6\n"
TRELLIS = (
    "sha256,file_identifier,aesthetic_score,captions\n"
    '00,https://sketchfab.com/3d-models/0a1b,5.25,"[""a mug, red""]"\n'
    "11,https://sketchfab.com/3d-models/red-mug-2c3d/,6.5,\n"
    "22,https://sketchfab.com/3d-models/4e5f?ref=x,7,\n"
    "33,hf-objaverse-v1/glbs/000-001/6a7b.glb,8,\n"
    "44ff,https://github.com/someone/things/blob/0123/models/cup.glb,9,\n"
)
PLUS_PLUS = (
    "UID,style,score,is_multi_object,is_scene,is_figure,is_transparent,is_single_color,density\n"
    "abc,toon,3,false,false,true,False,false,high\n"
    "def,other,1.0,1,0,,0,0,low\n"
    "ghi,other,,1,0,0,0,0,low\n"
)


def scores_of(table: ScoreTable) -> dict[str, float]:
    return dict(zip(table.table["uid"].to_pylist(), table.table[table.value].to_pylist(), strict=True))


def test_scores_table_with_uids_skips_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(PLAIN)
    assert scores_of(read_score_table(path)) == {"abc": 4.5, "ghi": 6.0}


def test_scores_table_of_trellis_finds_the_uid_in_the_address(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv.gz"
    path.write_bytes(gzip.compress(TRELLIS.encode("utf-8-sig")))
    assert scores_of(read_score_table(path)) == {
        "0a1b": 5.25,
        "2c3d": 6.5,
        "4e5f": 7.0,
        "6a7b": 8.0,
        "44ff": 9.0,
    }


@pytest.mark.parametrize("cell", ["high", "nan", "inf", "5,5"])
def test_scores_bad_cell_raises_with_line_and_value(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f'uid,aesthetic_score\nabc,4.5\ndef,"{cell}"\n')
    with pytest.raises(ValueError, match=rf"scores\.csv, line 3: aesthetic_score is '{cell}', expected a number"):
        read_score_table(path)


def test_scores_row_cut_short_raises_with_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("uid,aesthetic_score\nabc,4.5\ndef\n")
    with pytest.raises(ValueError, match="line 3: aesthetic_score is None"):
        read_score_table(path)


def test_scores_two_values_for_one_object_count_as_none(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("uid,aesthetic_score\nabc,4.5\ndef,6\nabc,4.5\nabc,5\ndef,6.0\ndef,\n")
    table = read_score_table(path)
    assert scores_of(table) == {"def": 6.0}
    assert table.contradicted == ["abc"]
    with pytest.raises(ValueError, match=r"scores\.csv gives abc two different scores: keep one"):
        scores_in(read_table(path))


def test_scores_of_objaverse_plus_plus_are_qualities_with_traits(tmp_path: Path) -> None:
    path = tmp_path / "annotated.csv"
    path.write_text(PLUS_PLUS)
    table = read_score_table(path)
    assert table.value == "quality"
    assert scores_of(table) == {"abc": 3, "def": 1}
    assert table.table["is_multi_object"].to_pylist() == [False, True]
    assert table.table["is_figure"].to_pylist() == [True, None]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("abc,toon,3", "abc,toon,4", "score is '4', expected a quality class"),
        ("true", "maybe", "is_figure is 'maybe', expected true or false"),
    ],
)
def test_scores_of_objaverse_plus_plus_with_a_bad_cell_raise_with_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "annotated.csv"
    path.write_text(PLUS_PLUS.replace(old, new))
    with pytest.raises(ValueError, match=rf"annotated\.csv, line 2: {said}"):
        read_score_table(path)


def test_scores_in_a_parquet_file_are_those_of_the_csv_file(tmp_path: Path) -> None:
    uids, scores = ["abc", "def", "ghi"], [4.5, None, 6.25]
    pq.write_table(pa.table({"UID": uids, "aesthetic_score": pa.array(scores, pa.float32())}), tmp_path / "s.parquet")
    assert scores_of(read_score_table(tmp_path / "s.parquet")) == {"abc": 4.5, "ghi": 6.25}
    traits = {"UID": uids, "score": [3, 0, 1], "is_scene": [True, False, None]}
    pq.write_table(pa.table(traits), tmp_path / "p.parquet")
    table = read_score_table(tmp_path / "p.parquet")
    assert scores_of(table) == {"abc": 3, "def": 0, "ghi": 1}
    assert table.table["is_scene"].to_pylist() == [True, False, None]


def test_scores_in_a_broken_parquet_file_raise_with_remedy(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(ValueError, match=r"s\.parquet cannot be read as a Parquet file: .*; fetch it again"):
        read_score_table(tmp_path / "s.parquet")


def test_scores_table_without_the_columns_names_them(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("id,score\nabc,4.5\n")
    with pytest.raises(ValueError, match=r"columns \['id', 'score'\]; needed: uid or file_identifier"):
        read_score_table(path)


def test_scores_loaded_from_the_web_name_the_address_in_errors(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(PLAIN)
    (tmp_path / "bad.csv").write_text(PLAIN + "jkl,?\n")
    tools = make_tools(tmp_path, store=RemoteStore(attempts=1))
    with WebServer(tmp_path) as web:
        table = load_score_table(f"{web.url}/good.csv", tools)
        assert table.name == "good.csv"
        assert scores_of(table) == {"abc": 4.5, "ghi": 6.0}
        with pytest.raises(ValueError, match=rf"{web.url}/bad\.csv, line 5"):
            load_score_table(f"{web.url}/bad.csv", tools)


@pytest.mark.slow(seconds=1)
def test_scores_loaded_from_s3_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="tables")
        client.put_object(Bucket="tables", Key="scores.csv.gz", Body=gzip.compress(PLAIN.encode()))
        tools = make_tools(tmp_path, store=RemoteStore(attempts=1, s3_endpoint_url=url))
        assert scores_of(load_score_table("s3://tables/scores.csv.gz", tools)) == {"abc": 4.5, "ghi": 6.0}
    finally:
        server.stop()
