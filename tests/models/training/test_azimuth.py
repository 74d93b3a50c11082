"""The network must learn from the picture which way the object is turned, which no other test asks for."""

from pathlib import Path

import numpy as np
import pytest

from models.data.draws import aligned_views
from models.losses.metrics import on_white
from tests.models.azimuth_proof import Solid, Variant, turns_fitted
from tests.models.ball_models import SIDE, as_floats
from tests.models.balls import balls, targets

NUM_TRIALS = 8


@pytest.mark.nightly
@pytest.mark.slow(seconds=240)
@pytest.mark.timeout(1800)
def test_network_given_the_reference_draws_views_turned_as_the_picture_says(tmp_path: Path) -> None:
    solid = Solid.make(tmp_path)
    unet, _ = solid.train(Variant(generation_input="reference", view_scale=1.0), tmp_path / "unet")
    hits = {count: solid.score(unet, count).hits for count in (1, 3)}
    assert min(hits.values()) >= NUM_TRIALS - 1, hits


def test_solid_tells_its_azimuth_from_every_side() -> None:
    truth = on_white(as_floats(np.stack([balls(camera, SIDE) for camera in targets()])))
    for turn in (0, 2, 7):
        fit = turns_fitted(truth[aligned_views(np.arange(32), turn, 8)], truth)
        assert np.argmax(fit.drawn_db) == turn
        assert fit.right_turns == [0]  # the solid looks like itself from no other side
        assert fit.scores()["azimuth_hit_rate"] == (turn == 0)
