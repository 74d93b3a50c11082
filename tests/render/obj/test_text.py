from pathlib import Path

import pytest

from render.errors import Unrenderable
from render.obj.text import read_text

TEXT = "v 0 0 0\nf 1 2 3\n"


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_read_text_other_codes_become_utf8_without_a_mark(tmp_path: Path, code: str) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(TEXT.encode(code))
    text = read_text(path)
    assert (text.content, text.is_stored) == (TEXT.encode(), False)


def test_read_text_lines_of_old_macs_get_line_feeds_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(TEXT.replace("\n", "\r").encode())
    assert read_text(path).content == TEXT.encode()
    for stored in (TEXT.encode(), TEXT.replace("\n", "\r\n").encode(), "v 0 0 0 # \u00e9\n".encode("cp1252")):
        path.write_bytes(stored)
        text = read_text(path)
        assert (text.content, text.is_stored) == (stored, True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a.obj is a git-LFS pointer: fetch"),
        (b"\n<!DOCTYPE html><html>", "a.obj is an HTML page"),
        (b"\x64\x86\x05\x00\x00\x00\x00\x00" * 8, "a.obj is no text"),
    ],
)
def test_read_text_what_is_no_text_is_refused_with_its_name(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.obj"
    path.write_bytes(content)
    with pytest.raises(Unrenderable, match=reason):
        read_text(path)
