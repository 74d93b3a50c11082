"""The azimuth hit rate against drawings whose turn is known, and against its definition by NumPy."""

import numpy as np
import pytest
import torch

from models.losses.azimuth import SAME_PSNR, AzimuthFit, fit_azimuth

RINGS, AZIMUTHS = 2, 8


def true_views(seed: int = 0, period: int = AZIMUTHS) -> torch.Tensor:
    """Views of an object that looks the same again after `period` steps: (R, A, 3, 12, 12)."""
    views = torch.rand(RINGS, period, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return views.repeat(1, AZIMUTHS // period, 1, 1, 1)


def fitted(drawn: torch.Tensor, true: torch.Tensor) -> AzimuthFit:
    fit = fit_azimuth(drawn.flatten(0, 1), true)
    assert fit is not None
    return fit


def noise(strength: float) -> torch.Tensor:
    return strength * torch.randn(RINGS, AZIMUTHS, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def test_each_turn_has_the_psnr_of_its_definition() -> None:
    true, drawn = true_views(), true_views(1)
    fit = fitted(drawn, true)
    for turn in range(AZIMUTHS):
        error = np.square(np.roll(true.numpy(), -turn, axis=1) - drawn.numpy()).mean()
        assert fit.drawn_db[turn] == pytest.approx(-10 * np.log10(error), abs=1e-4)


@pytest.mark.parametrize("turn", range(AZIMUTHS))
def test_views_drawn_turned_are_no_hit_however_sharp_and_turned_right_are_one_however_noisy(turn: int) -> None:
    true = true_views()
    fit = fitted(true.roll(-turn, dims=1) + noise(0.5), true)
    assert fit.drawn_db.index(max(fit.drawn_db)) == turn
    scores = fit.scores()
    assert scores["azimuth_hit_rate"] == (turn == 0)
    assert (scores["azimuth_margin"] > 0) == (turn == 0)
    assert (scores["azimuth_alike"], scores["azimuth_chance"]) == (0, 1 / 8)


def test_one_picture_everywhere_fits_all_turns_alike_and_is_no_hit() -> None:
    true = true_views()
    for picture in (torch.ones(3, 12, 12), true[1, 5], true.mean(dim=(0, 1))):
        fit = fitted(picture.expand_as(true), true)
        assert fit.margin_db == pytest.approx(0, abs=1e-5)
        assert fit.scores()["azimuth_hit_rate"] == 0


def test_guessing_hits_as_often_as_chance_says() -> None:
    true = true_views()
    hits = [fitted(true.roll(turn, dims=1), true).scores()["azimuth_hit_rate"] for turn in range(AZIMUTHS)]
    assert np.mean(hits) == 1 / AZIMUTHS
    halves = true_views(period=4)
    fits = [fitted(halves.roll(turn, dims=1), halves) for turn in range(AZIMUTHS)]
    assert np.mean([fit.scores()["azimuth_hit_rate"] for fit in fits]) == fits[0].scores()["azimuth_chance"] == 1 / 4


def test_turn_that_the_object_is_symmetric_under_is_right_too() -> None:
    true = true_views(period=2)
    assert fitted(true.roll(2, dims=1), true).right_turns == [0, 2, 4, 6]
    assert fitted(true.roll(2, dims=1) + noise(0.2), true).scores()["azimuth_hit_rate"] == 1
    assert fitted(true.roll(3, dims=1), true).scores()["azimuth_hit_rate"] == 0


def test_object_that_looks_alike_after_every_turn_has_no_hit_rate() -> None:
    true = true_views(period=1)
    assert fitted(true.roll(3, dims=1), true).scores() == {"azimuth_alike": 1.0}
    assert fitted(true_views(1), true).scores() == {"azimuth_alike": 1.0}


def test_alike_begins_at_the_stated_bound() -> None:
    """A dot that is `contrast` darker in one view of eight: two of eight views differ after a turn."""
    alike = []
    for excess_db in (-0.1, 0.1):
        true = torch.full((1, AZIMUTHS, 3, 4, 4), 0.5)
        true[0, 0] += (10 ** (-(SAME_PSNR + excess_db) / 10) * AZIMUTHS / 2) ** 0.5
        alike.append(fitted(true, true).looks_alike)
    assert alike == [False, True]


def test_drawn_views_may_be_some_of_the_ring_in_any_order() -> None:
    true = true_views()
    places = [(1, 6), (0, 2), (1, 0)]
    drawn = torch.stack([true[ring, (azimuth + 3) % AZIMUTHS] for ring, azimuth in places])
    fit = fit_azimuth(drawn, true, places)
    assert fit is not None
    assert fit.drawn_db.index(max(fit.drawn_db)) == 3
    right = fit_azimuth(torch.stack([true[place] for place in places]), true, places)
    assert right is not None
    assert right.scores()["azimuth_hit_rate"] == 1
    with pytest.raises(ValueError, match="3 drawn views for 2 places"):
        fit_azimuth(drawn, true, places[:2])


def test_one_azimuth_cannot_be_turned() -> None:
    true = true_views()[:, :1]
    assert fit_azimuth(true.flatten(0, 1), true) is None
