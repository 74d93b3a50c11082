"""Reads tables of aesthetic scores, whatever source they belong to; unknown uids are kept."""

import math
from pathlib import Path

from tasks.ports import Tools
from tasks.sources.spreadsheet import Table, read_table

UID = "uid"
FILE_IDENTIFIER = "file_identifier"
"""TRELLIS-500K's name for the object's page at Sketchfab, which ends in its uid."""
SCORE = "aesthetic_score"


def load_scores(location: str, tools: Tools) -> dict[str, float]:
    """Return scores by uid from the table at `location`: a path, http(s):// or s3://, which is copied here first.

    Raises ValueError for a table that cannot be understood, OSError for one that cannot be read.
    """
    copy = tools.work / "scores"
    tools.store.fetch(location, copy)
    return read_scores(copy, location)


def read_scores(path: Path, name: str | None = None) -> dict[str, float]:
    """Return scores by uid from a table (tasks.sources.spreadsheet); `name` stands for the file in errors.

    An empty cell means that the object has no score. Raises ValueError with line and value for a bad row.
    """
    return scores_in(read_table(path, name))


def scores_in(table: Table) -> dict[str, float]:
    """Return scores by uid from a table, as `read_scores` does."""
    key = next((column for column in (UID, FILE_IDENTIFIER) if column in table.columns), None)
    if key is None or SCORE not in table.columns:
        raise ValueError(
            f"{table.name} has columns {list(table.columns)}; needed: {UID} or {FILE_IDENTIFIER}, and {SCORE}"
        )
    scores: dict[str, float] = {}
    for row in table.rows:
        uid = _uid(row.cells.get(key), row.where)
        score = _score(row.cells.get(SCORE), row.where, has_decimal_commas=table.has_decimal_commas)
        if score is None:
            continue
        if scores.get(uid, score) != score:
            raise ValueError(f"{row.where}: {uid} has score {score} here and {scores[uid]} before: keep one")
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


def _score(text: str | None, where: str, *, has_decimal_commas: bool) -> float | None:
    if text == "":
        return None
    number = (text or "").replace(",", ".") if has_decimal_commas else text or ""
    try:
        score = float(number)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{where}: {SCORE} is {text!r}, expected a number such as 5.5")
    return score
