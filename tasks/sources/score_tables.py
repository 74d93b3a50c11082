"""Reads tables that score objects, whatever source they belong to; uids that no object has are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.catalog_columns import QUALITY
from tasks.config import Flag
from tasks.ports import Tools
from tasks.sources.spreadsheet import Table
from tasks.sources.text_columns import TextColumns, read_text_columns, text_columns_of

UID = "uid"
FILE_IDENTIFIER = "file_identifier"
"""TRELLIS-500K's name for the object's page at Sketchfab, which ends in its uid, or for its file at GitHub."""
SHA256 = "sha256"
"""TRELLIS-500K's hash of the file, which is the uid of an object of Objaverse-XL at GitHub."""
SCORE = "aesthetic_score"
CLASS = "score"
"""Objaverse++'s quality class, 0 to 3, beside its traits (TCXX/ObjaversePlusPlus at f54d51a:
annotation_model/annotate_all.py)."""
TRAITS: tuple[Flag, ...] = ("is_multi_object", "is_scene", "is_figure", "is_transparent", "is_single_color")
_COLUMNS = (UID, FILE_IDENTIFIER, SHA256, SCORE, CLASS, *TRAITS)
_QUALITIES = ("0", "1", "2", "3")
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class ScoreTable:
    """What one table says of objects."""

    name: str
    """The file's name, without the address that it was read from."""
    table: pa.Table
    """A row for each uid, in the order of the file: uid, and score (an aesthetic score), or quality and traits
    (tasks.artifacts.catalog_columns)."""
    contradicted: Sequence[str]
    """Uids of which two rows say different things; they have no row."""

    @property
    def value(self) -> str:
        """The column that judges: score or quality."""
        return "score" if "score" in self.table.column_names else QUALITY


def load_score_table(location: str, tools: Tools) -> ScoreTable:
    """Return the table at `location`: a path, http(s):// or s3://, CSV or Parquet, which is copied here first.

    Raises ValueError for a table that cannot be understood, OSError for one that cannot be read.
    """
    copy = tools.work / "scores"
    tools.store.fetch(str(Path(location).expanduser()) if location.startswith("~") else location, copy)
    return read_score_table(copy, location)


def read_score_table(path: Path, name: str | None = None) -> ScoreTable:
    """Return the scores of a CSV or Parquet file; `name` stands for the file in errors.

    An empty cell means that the table does not say it. Raises ValueError with line and value for a bad row.
    """
    return _understood(read_text_columns(path, name or str(path), _COLUMNS))


def scores_in(table: Table) -> dict[str, float]:
    """Return aesthetic scores by uid from a spreadsheet's table.

    Raises ValueError with line and value for a bad row, and for an object with two scores.
    """
    scores = _understood(text_columns_of(table, (UID, FILE_IDENTIFIER, SCORE)))
    if scores.contradicted:
        raise ValueError(f"{table.name} gives {scores.contradicted[0]} two different scores: keep one")
    return dict(zip(scores.table[UID].to_pylist(), scores.table["score"].to_pylist(), strict=True))


def _understood(text: TextColumns) -> ScoreTable:
    key = next((column for column in (UID, FILE_IDENTIFIER) if column in text.known), None)
    traits = [trait for trait in TRAITS if trait in text.known]
    is_scored, is_classed = SCORE in text.known, CLASS in text.known and bool(traits)
    if key is None or not (is_scored or is_classed):
        raise ValueError(
            f"{text.name} has columns {list(text.known)}; needed: {UID} or {FILE_IDENTIFIER}, and {SCORE}, or "
            f"Objaverse++'s {CLASS} with traits such as {TRAITS[0]}"
        )
    uids = _uids(text, key)
    if key == FILE_IDENTIFIER and SHA256 in text.table.column_names:
        is_at_github = pc.match_substring(text.table[key].fill_null(""), "://github.com/")
        uids = pc.if_else(is_at_github, pc.utf8_trim_whitespace(text.table[SHA256].fill_null("")), uids)
    columns = {UID: uids}
    if is_scored:
        columns["score"] = _scores(text)
    else:
        columns[QUALITY] = _qualities(text)
        columns |= {trait: _flags(text, trait) for trait in traits}
    table = pa.table(columns)
    judged = table.filter(pc.is_valid(table["score" if is_scored else QUALITY]))
    unique, contradicted = _without_contradictions(judged)
    return ScoreTable(text.name.rstrip("/").rsplit("/", 1)[-1], unique, contradicted)


def _uids(text: TextColumns, key: str) -> pa.ChunkedArray:
    """Of an address the last part without its readable words, ending and query; a plain uid stays as it is."""
    given = text.table[key].fill_null("")
    trimmed = pc.utf8_rtrim(pc.utf8_trim_whitespace(given), characters="/")
    last = pc.replace_substring_regex(
        trimmed, pattern=r"^.*/(?:[^/?#]*-)?([^/?#-]*?)(?:\.glb)?(?:[?#].*)?$", replacement=r"\1"
    )
    uids = pc.if_else(pc.match_substring(trimmed, "/"), last, trimmed)
    missing = pc.index(pc.equal(uids, ""), True).as_py()
    if missing >= 0:
        raise ValueError(f"{text.where(missing)}: no uid in {text.table[key][missing].as_py()!r}")
    return uids


def _scores(text: TextColumns) -> pa.ChunkedArray:
    given = text.table[SCORE]
    written = pc.replace_substring(given, ",", ".") if text.has_decimal_commas else given
    filled = pc.if_else(pc.equal(written, ""), None, written)
    try:
        scores = filled.cast(pa.float64())
    except pa.ArrowInvalid:
        _refuse(text, SCORE, [_is_number(value) for value in filled.to_pylist()], "a number such as 5.5")
    is_fit = pc.or_(pc.equal(given, "").fill_null(False), pc.is_finite(scores).fill_null(False))
    if not pc.all(is_fit).as_py():
        _refuse(text, SCORE, is_fit.to_pylist(), "a number such as 5.5")
    return scores


def _is_number(value: str | None) -> bool:
    try:
        return value is None or float(value) == float(value)
    except ValueError:
        return False


def _qualities(text: TextColumns) -> pa.ChunkedArray:
    given = pc.replace_substring_regex(text.table[CLASS].fill_null(""), pattern=r"\.0$", replacement="")
    is_fit = pc.is_in(given, pa.array(["", *_QUALITIES]))
    if not pc.all(is_fit).as_py():
        _refuse(text, CLASS, is_fit.to_pylist(), "a quality class from 0 to 3")
    return pc.if_else(pc.equal(given, ""), None, given).cast(pa.int64())


def _flags(text: TextColumns, column: str) -> pa.ChunkedArray:
    given = pc.utf8_lower(text.table[column].fill_null(""))
    is_yes, is_no = pc.is_in(given, pa.array(_YES)), pc.is_in(given, pa.array(_NO))
    is_fit = pc.or_(pc.or_(is_yes, is_no), pc.equal(given, ""))
    if not pc.all(is_fit).as_py():
        _refuse(text, column, is_fit.to_pylist(), "true or false")
    return pc.if_else(pc.equal(given, ""), None, is_yes)


def _refuse(text: TextColumns, column: str, is_fit: Sequence[bool | None], expected: str) -> NoReturn:
    """Raise ValueError for the first value that does not fit."""
    row = next(index for index, fits in enumerate(is_fit) if not fits)
    raise ValueError(f"{text.where(row)}: {column} is {text.table[column][row].as_py()!r}, expected {expected}")


def _without_contradictions(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Return one row for each uid whose rows agree, and the other uids."""
    if pc.count_distinct(table[UID]).as_py() == len(table):
        return table, []
    values = [name for name in table.column_names if name != UID]
    grouped = table.group_by(UID, use_threads=False).aggregate(
        [(name, how) for name in values for how in ("min", "max")]
    )
    is_equal = [pc.equal(grouped[f"{name}_min"], grouped[f"{name}_max"]).fill_null(True) for name in values]
    agrees = is_equal[0]
    for column in is_equal[1:]:
        agrees = pc.and_(agrees, column)
    kept = grouped.filter(agrees)
    unique = pa.table({UID: kept[UID], **{name: kept[f"{name}_min"] for name in values}})
    return unique, sorted(grouped[UID].filter(pc.invert(agrees)).to_pylist())
