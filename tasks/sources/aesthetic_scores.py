"""Reads tables of aesthetic scores, whatever source they belong to; unknown uids are kept."""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

from tasks.ports import Tools

UID = "uid"
FILE_IDENTIFIER = "file_identifier"
"""TRELLIS-500K's name for the object's page at Sketchfab, which ends in its uid."""
SCORE = "aesthetic_score"

_GZIP = b"\x1f\x8b"


def load_scores(location: str, tools: Tools) -> dict[str, float]:
    """Return scores by uid from the table at `location`: a path, http(s):// or s3://, which is copied here first.

    Raises ValueError for a table that cannot be understood, OSError for one that cannot be read.
    """
    copy = tools.work / "scores"
    tools.store.fetch(location, copy)
    return read_scores(copy, location)


def read_scores(path: Path, name: str | None = None) -> dict[str, float]:
    """Return scores by uid from a CSV file, gzip-compressed or not; `name` stands for the file in errors.

    An empty cell means that the object has no score. Raises ValueError with line and value for a bad row.
    """
    content = path.read_bytes()
    try:
        text = gzip.decompress(content) if content.startswith(_GZIP) else content
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{name or path} is not a whole gzip file ({error}); fetch it again") from error
    return _parse(io.StringIO(text.decode("utf-8-sig"), newline=""), name or str(path))


def _parse(lines: Iterable[str], name: str) -> dict[str, float]:
    table = csv.DictReader(lines)
    columns = table.fieldnames or []
    key = next((column for column in (UID, FILE_IDENTIFIER) if column in columns), None)
    if key is None or SCORE not in columns:
        raise ValueError(f"{name} has columns {list(columns)}; needed: {UID} or {FILE_IDENTIFIER}, and {SCORE}")
    scores: dict[str, float] = {}
    for row in table:
        where = f"{name}, line {table.line_num}"
        uid = _uid(row[key], where)
        score = _score(row[SCORE], where)
        if score is None:
            continue
        if scores.get(uid, score) != score:
            raise ValueError(f"{where}: {uid} has score {score} here and {scores[uid]} before: keep one")
        scores[uid] = score
    return scores


def _uid(text: str | None, where: str) -> str:
    """The last part of a page's address without its readable words; a plain uid stays as it is."""
    uid = (text or "").strip().rstrip("/")
    if "/" in uid:
        uid = uid.rsplit("/", 1)[1].rsplit("-", 1)[-1]
    if not uid:
        raise ValueError(f"{where}: no uid in {text!r}")
    return uid


def _score(text: str | None, where: str) -> float | None:
    if text is not None and not text.strip():
        return None
    try:
        score = float(text or "")
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{where}: {SCORE} is {text!r}, expected a number")
    return score
