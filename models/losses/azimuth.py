"""Whether drawn views are turned right: of the turns of their ring, does the true one fit best?

PSNR hardly tells an object that is drawn turned away from one that is drawn blurred. So the drawn views are compared
with the true views turned about the vertical axis by each step of their ring, eight turns of 45 degrees for the
paper's targets (sec. 4.1). Knowing azimuth from the given picture is what the method is for.
"""

# Shapes: V drawn view, R ring (elevation), A azimuth of a ring, also turn, H and W image size

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.losses.metrics import MAX_PSNR

SAME_PSNR = 30.0
"""PSNR in dB from which true views and true views after a turn count as the same. The paper's model reaches 25.0 dB
from ten given views (Table 1): a turn beyond 30 dB changes the views by less than a third of the squared error that
its best drawings have, so that no score of drawings can tell it from none."""
TIE_DB = 1e-3
"""Two turns that fit equally well to less than this are tied: rounding alone is no knowledge."""


@dataclass(frozen=True)
class AzimuthFit:
    """How well an object's drawn views fit its true views after each turn."""

    drawn_db: tuple[float, ...]
    """PSNR of the drawn views against the true views turned by 0, 1, .. A - 1 steps of the ring."""
    true_db: tuple[float, ...]
    """PSNR of the true views against themselves, turned likewise."""

    @property
    def right_turns(self) -> list[int]:
        """Turns that change nothing worth seeing: none, and those that the object is symmetric under."""
        return [turn for turn, db in enumerate(self.true_db) if turn == 0 or db >= SAME_PSNR]

    @property
    def looks_alike(self) -> bool:
        """Whether the object looks alike after every turn, so that no drawing can be turned wrongly."""
        return len(self.right_turns) == len(self.true_db)

    @property
    def margin_db(self) -> float:
        """PSNR of the best right turn less that of the best wrong one; the object must not look alike throughout."""
        right = set(self.right_turns)
        wrong = [db for turn, db in enumerate(self.drawn_db) if turn not in right]
        return max(self.drawn_db[turn] for turn in right) - max(wrong)

    def scores(self) -> dict[str, float]:
        """Scores of the object.

        Returns:
            azimuth_alike: 1 for an object that looks alike after every turn, otherwise 0 and these: azimuth_hit_rate,
            1 where a right turn fits better than every wrong one, else 0; azimuth_margin, by how many dB; and
            azimuth_chance, the hit rate of guessing.
        """
        if self.looks_alike:
            return {"azimuth_alike": 1.0}
        return {
            "azimuth_alike": 0.0,
            "azimuth_hit_rate": float(self.margin_db > TIE_DB),
            "azimuth_margin": self.margin_db,
            "azimuth_chance": len(self.right_turns) / len(self.true_db),
        }


def fit_azimuth(
    drawn_V3HW: Tensor,
    true_RA3HW: Tensor,
    places: Sequence[tuple[int, int]] | None = None,
    true_db: tuple[float, ...] | None = None,
) -> AzimuthFit | None:
    """Compare drawn views with the true views turned by each step of their ring.

    Args:
        drawn_V3HW: RGB on white in [0, 1]. Leave out a given view that is shown as it is: it would give the turn away.
        true_RA3HW: True views of R rings of A evenly spaced azimuths, in the order of the azimuth.
        places: Ring and azimuth of each drawn view; None: all views, rings outer.
        true_db: What `turned_psnr` says of the true views, where several drawings are compared with them; None: it is
            computed.

    Returns:
        None where a ring has one azimuth: there is no turn to tell.

    Raises:
        ValueError: Drawn views and places differ in number.
    """
    places = _every_place(true_RA3HW) if places is None else places
    if len(places) != len(drawn_V3HW):
        raise ValueError(f"{len(drawn_V3HW)} drawn views for {len(places)} places; give each drawn view its place")
    if true_RA3HW.shape[1] < 2:
        return None
    true_db = turned_psnr(true_RA3HW) if true_db is None else true_db
    return AzimuthFit(_psnr_of_turns(drawn_V3HW, true_RA3HW, places), true_db)


def turned_psnr(true_RA3HW: Tensor) -> tuple[float, ...]:
    """Return the PSNR in dB of true views, RGB on white in [0, 1], against themselves after each turn."""
    return _psnr_of_turns(true_RA3HW.flatten(0, 1), true_RA3HW, _every_place(true_RA3HW))


def _every_place(views_RA3HW: Tensor) -> list[tuple[int, int]]:
    """Ring and azimuth of all views, rings outer."""
    rings, azimuths = views_RA3HW.shape[:2]
    return [(ring, azimuth) for ring in range(rings) for azimuth in range(azimuths)]


def _psnr_of_turns(views_V3HW: Tensor, true_RA3HW: Tensor, places: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """PSNR in dB, of the mean squared error over all views, after each turn; at most MAX_PSNR."""
    turns = torch.arange(true_RA3HW.shape[1])
    error_A = torch.zeros(len(turns), dtype=torch.float64)
    for view_3HW, (ring, azimuth) in zip(views_V3HW, places, strict=True):
        turned_A3HW = true_RA3HW[ring, (azimuth + turns) % len(turns)]
        error_A += (turned_A3HW - view_3HW).square().mean(dim=(1, 2, 3)).double().cpu()
    db_A = -10 * torch.log10(error_A / len(places))
    return tuple(db_A.clamp(max=MAX_PSNR).tolist())
