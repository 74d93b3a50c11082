import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.render import main, psnr
from tests.bench.render_methods import OURS, PEERS

NAMES = [OURS[1].name, PEERS.name]


def test_psnr_is_that_of_the_pictures_on_white() -> None:
    truth = np.zeros((2, 4, 4, 4), dtype=np.uint8)
    images = truth.copy()
    images[..., :3] = 77  # under zero alpha, so it does not count
    images[:, 0, 0] = (0, 0, 0, 255)
    assert psnr(images, truth) == pytest.approx(10 * np.log10(16))


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.blender
def test_bench_render_measures_ours_beside_a_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.json"
    words = ["--side", "64", "--views", "2", "--rounds", "1", "--objects", "2", "--out", str(out)]
    main([*words, "--methods", *NAMES])
    ours, peers = json.loads(out.read_text())
    assert ours["psnr"] > 30
    assert peers["psnr"] > ours["psnr"]
    assert peers["cpu_s_per_view"] > ours["cpu_s_per_view"]
    assert peers["cpu_s_per_object"] > ours["cpu_s_per_object"] > 0
    assert 0 < ours["overhead_share"] < 1
    assert NAMES[0] in capsys.readouterr().out
