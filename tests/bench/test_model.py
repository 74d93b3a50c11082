import json
from pathlib import Path

import pytest
import torch

from tests.bench.model import main
from tests.bench.model_cost import toy_batch
from tests.bench.model_methods import ALL_VIEWS, LEVELS, METHODS, outputs_agree
from tests.bench.model_worker import network


@pytest.mark.slow(seconds=1)
def test_methods_that_attend_to_all_views_compute_what_ours_does() -> None:
    unet = network("toy", 8).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
        outputs = {}
        for name, make in METHODS.items():
            unet.base.set_attn_processor(make())
            outputs[name] = unet(**toy_batch(unet, 4))
    for name in ALL_VIEWS:
        assert outputs_agree(outputs[name], outputs["ours"]), name
    for name in METHODS.keys() - {"ours", *ALL_VIEWS}:
        assert not outputs_agree(outputs[name], outputs["ours"]), name


@pytest.mark.nightly
@pytest.mark.slow
def test_bench_model_measures_ours_beside_a_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table.json"
    words = ["--width", "toy", "--views", "3", "--side", "8", "--rounds", "1", "--steps", "1", "--out", str(out)]
    main([*words, "--methods", "ours", "MVDream, as published", *LEVELS])
    ours, peer, *levels = json.loads(out.read_text())
    assert [row["name"] for row in levels] == list(LEVELS)
    assert levels[-1]["kept_gib"] <= ours["kept_gib"]
    assert ours["kept_gib"] < peer["kept_gib"]
    assert min(ours["forward_s"], ours["training_s"], ours["share"], peer["tokens_s"]) > 0
    assert "MVDream, as published" in capsys.readouterr().out
