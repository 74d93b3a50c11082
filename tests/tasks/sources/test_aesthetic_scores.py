"""Tables of aesthetic scores."""

import gzip
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from infra.storage.store import RemoteStore
from tasks.sources.aesthetic_scores import load_scores, read_scores
from tests.infra.server import WebServer
from tests.tasks.toolbox import make_tools

PLAIN = "uid,aesthetic_score\nabc,4.5\ndef,\nghi,6\n"
TRELLIS = (
    "sha256,file_identifier,aesthetic_score,captions\n"
    '00,https://sketchfab.com/3d-models/0a1b,5.25,"[""a mug, red""]"\n'
    "11,https://sketchfab.com/3d-models/red-mug-2c3d/,6.5,\n"
)


def test_scores_table_with_uids_skips_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(PLAIN)
    assert read_scores(path) == {"abc": 4.5, "ghi": 6.0}


def test_scores_table_of_trellis_finds_the_uid_in_the_address(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv.gz"
    path.write_bytes(gzip.compress(TRELLIS.encode("utf-8-sig")))
    assert read_scores(path) == {"0a1b": 5.25, "2c3d": 6.5}


@pytest.mark.parametrize("cell", ["high", "nan", "inf", "5,5"])
def test_scores_bad_cell_raises_with_line_and_value(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f'uid,aesthetic_score\nabc,4.5\ndef,"{cell}"\n')
    with pytest.raises(ValueError, match=rf"scores\.csv, line 3: aesthetic_score is '{cell}', expected a number"):
        read_scores(path)


def test_scores_row_cut_short_raises_with_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("uid,aesthetic_score\nabc,4.5\ndef\n")
    with pytest.raises(ValueError, match="line 3: aesthetic_score is None"):
        read_scores(path)


def test_scores_two_values_for_one_object_raise(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("uid,aesthetic_score\nabc,4.5\nabc,4.5\nabc,5\n")
    with pytest.raises(ValueError, match=r"line 4: abc has score 5\.0 here and 4\.5 before"):
        read_scores(path)


def test_scores_table_without_the_columns_names_them(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("id,score\nabc,4.5\n")
    with pytest.raises(ValueError, match=r"columns \['id', 'score'\]; needed: uid or file_identifier"):
        read_scores(path)


def test_scores_loaded_from_the_web_name_the_address_in_errors(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text(PLAIN)
    (tmp_path / "bad.csv").write_text(PLAIN + "jkl,?\n")
    tools = make_tools(tmp_path, store=RemoteStore(attempts=1))
    with WebServer(tmp_path) as web:
        assert load_scores(f"{web.url}/good.csv", tools) == {"abc": 4.5, "ghi": 6.0}
        with pytest.raises(ValueError, match=rf"{web.url}/bad\.csv, line 5"):
            load_scores(f"{web.url}/bad.csv", tools)


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
        assert load_scores("s3://tables/scores.csv.gz", tools) == {"abc": 4.5, "ghi": 6.0}
    finally:
        server.stop()
