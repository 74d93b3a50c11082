import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.render import main, psnr
from tests.bench.render_methods import OURS, PEERS, method

NAMES = [OURS[1].name, PEERS.name]


def test_psnr_is_that_of_the_pictures_on_white() -> None:
    truth = np.zeros((2, 4, 4, 4), dtype=np.uint8)
    images = truth.copy()
    images[..., :3] = 77  # under zero alpha, so it does not count
    images[:, 0, 0] = (0, 0, 0, 255)
    assert psnr(images, truth) == pytest.approx(10 * np.log10(16))


def test_method_of_a_quality_without_a_name_has_its_numbers() -> None:
    numbers = '"samples": 12, "noise_threshold": 0.1, "denoise": "none", "max_bounces": 3'
    trial = method(f'{{{numbers}, "cycles": {{"adaptive_min_samples": 16}}}}')
    assert trial.quality.model_dump() == {"samples": 12, "noise_threshold": 0.1, "denoise": "none", "max_bounces": 3}
    assert trial.cycles == {"adaptive_min_samples": 16}
    assert not method(f"{{{numbers}}}").cycles


def test_method_that_does_not_exist_is_a_sentence_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"'ours, best' is no method; write 'ours, draft', .* as JSON"):
        method("ours, best")


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
