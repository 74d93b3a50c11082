"""How two tables of scores agree on the objects that both score."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import rankdata

from tasks.artifacts.catalog_columns import QUALITY

HIGH_QUALITY = 2
"""Objaverse++'s class of acceptable quality with clear identity and texture (its README)."""


@dataclass(frozen=True)
class Agreement:
    """What two tables say of the same objects."""

    first: str
    second: str
    objects: int
    """Number of objects that both judge."""
    spearman: float | None
    """Rank correlation; None where one of them gives all objects the same, or fewer than three are shared."""
    both: int
    """Objects that are good enough by both: at or above the bound of each."""
    only_first: int
    only_second: int
    neither: int

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a manifest has it."""
        return asdict(self)


def agreements(claims: pa.Table, bounds: Mapping[str, float]) -> Iterator[Agreement]:
    """Yield the agreement of each pair of tables that share an object.

    Args:
        claims: What each table says of each object (tasks.sources.scoring.CLAIM).
        bounds: From which value on an object is good enough, by column: score and quality.
    """
    tables = pc.unique(claims["table"]).to_pylist()
    rows = {name: claims.filter(pc.equal(claims["table"], name)) for name in tables}
    for first, second in combinations(tables, 2):
        place = pc.index_in(rows[first]["uid"], value_set=rows[second]["uid"])
        is_shared = pc.is_valid(place)
        one = rows[first]["value"].filter(is_shared).to_numpy()
        other = rows[second]["value"].take(place.filter(is_shared)).to_numpy()
        if not len(one):
            continue
        is_good, is_good_too = (
            values >= bounds[rows[name]["column"][0].as_py()] for name, values in ((first, one), (second, other))
        )
        yield Agreement(
            first,
            second,
            len(one),
            _spearman(one, other),
            both=int((is_good & is_good_too).sum()),
            only_first=int((is_good & ~is_good_too).sum()),
            only_second=int((~is_good & is_good_too).sum()),
            neither=int((~is_good & ~is_good_too).sum()),
        )


def _spearman(one: np.ndarray, other: np.ndarray) -> float | None:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return round(float(np.corrcoef(rankdata(one), rankdata(other))[0, 1]), 4)


def bounds_of(min_score: float, quality: tuple[float | None, float | None] | None) -> dict[str, float]:
    """Return from which value on an object is good enough, by column; `quality` are the bounds of `select.between`."""
    least = quality[0] if quality else None
    return {"score": min_score, QUALITY: HIGH_QUALITY if least is None else least}
