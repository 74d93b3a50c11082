"""Tables as spreadsheet programs save them."""

import codecs
import gzip
import zipfile
from pathlib import Path

import pytest

from tasks.sources.folder_table import read_folder_table
from tasks.sources.score_tables import scores_in
from tasks.sources.spreadsheet import read_table

PLAIN = 'uid,aesthetic_score,title\nchair,6.5,"A chair, red"\nlamp,5,Größe\n'
EUROPEAN = 'uid;aesthetic_score;title\r\nchair;6,5;"A chair, red"\r\nlamp;5;Größe\r\n;;\r\n'
TABS = PLAIN.replace(",", "\t").replace("chair\t red", "chair, red")

AS_SAVED = {
    "UTF-8": PLAIN.encode(),
    "CSV UTF-8": codecs.BOM_UTF8 + PLAIN.replace("\n", "\r\n").encode(),
    "Unicode text": codecs.BOM_UTF16_LE + TABS.encode("utf-16-le"),
    "UTF-16 with commas": codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"),
    "UTF-16 big-endian": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 big-endian without a mark": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "European": EUROPEAN.encode(),
    "European with sep": b"sep=;\r\n" + EUROPEAN.encode(),
    "European with a mark": codecs.BOM_UTF8 + EUROPEAN.encode(),
    "old Macintosh": PLAIN.replace("\n", "\r").encode(),
    "quoted": b'"uid","aesthetic_score","title"\n"chair","6.5","A chair, red"\n"lamp","5","Gr\xc3\xb6\xc3\x9fe"\n',
    "with blanks and capitals": ' UID , Aesthetic_Score ,Title\n chair , 6.5 ,"A chair, red"\nlamp, 5,Größe\n'.encode(),
    "with empty cells and lines": ("\n" + PLAIN.replace("\n", ",,\n") + ",,,\n\n").encode(),
    "compressed": gzip.compress(PLAIN.encode("utf-16")),
}


@pytest.mark.parametrize("kind", AS_SAVED)
def test_table_is_read_however_it_was_saved(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(AS_SAVED[kind])
    assert _scores(path) == {"chair": 6.5, "lamp": 5.0}
    assert [row.cells["title"] for row in read_table(path).rows] == ["A chair, red", "Größe"]


BROKEN = {
    "a decimal comma between commas": (
        b"uid,aesthetic_score\nlamp,5\nchair,6,5\n",
        r"scores\.csv, line 3 has 3 cells, the first line 2: .*decimal points, or use semicolons",
    ),
    "Windows' own encoding": (
        "uid,aesthetic_score,title\nlamp,5,\nchair,6,Größe\n".encode("cp1252"),
        r'scores\.csv, line 3: byte 0xf6 is no UTF-8; save it as "CSV UTF-8"',
    ),
    "half a UTF-16 character": (codecs.BOM_UTF16_LE + b"u\0i\0d", r"scores\.csv, line 1: .*UTF-16"),
    "thousands": (b"uid;aesthetic_score\nchair;1.234,5\n", r"scores\.csv, line 2: aesthetic_score is '1\.234,5'"),
    "sep on the first line": (
        b"sep=;\nuid;aesthetic_score\nchair;?\n",
        r"scores\.csv, line 3: aesthetic_score is '\?'",
    ),
    "another delimiter below": (b"uid;aesthetic_score\nchair,6\n", r"scores\.csv, line 2: aesthetic_score is None"),
    "git-LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid",
        r"scores\.csv is a git-LFS pointer: fetch the file",
    ),
    "nothing": (b"", r"scores\.csv has columns \[\]; needed: uid"),
    "a cell without end": (
        b'uid,aesthetic_score,title\nchair,6,"' + b"x" * 200_000,
        r"scores\.csv, line 2: field larger than field limit .*save it as",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_table_that_cannot_be_understood_raises_with_file_line_and_remedy(tmp_path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        _scores(path)


def test_table_that_is_a_folder_raises_with_remedy(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(ValueError, match=r"scores\.csv is a folder; put a table in its place"):
        read_folder_table(tmp_path, {"chair"})


def test_table_that_is_a_workbook_raises_with_remedy(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(ValueError, match=r'scores\.csv is an Excel .*workbook.*, no CSV file.*"CSV UTF-8"'):
        _scores(path)


def _scores(path: Path) -> dict[str, float]:
    return scores_in(read_table(path))
