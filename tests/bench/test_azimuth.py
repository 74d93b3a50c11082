"""The comparison of networks that learn azimuth, at its smallest."""

from pathlib import Path

import pytest

from models.config import VAEConfig
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae
from tests.bench.azimuth import COLUMNS, main


@pytest.mark.slow
def test_table_has_a_row_for_each_variant_and_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    widths = (8, 16, 16)
    shape = VAEConfig(
        pretrained=None, block_out_channels=widths, layers_per_block=1, latent_channels=4, norm_num_groups=4
    )
    with seeded_weights(0):
        build_mask_vae(shape).save_pretrained(tmp_path / "mask_vae")
    short = ["--steps", "1", "--batch", "1", "--drawn-steps", "1", "--folder", str(tmp_path), "--seeds", "0", "3"]
    main(["--inputs", "reference", "--view-scales", "0.5", *short])
    header, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert tuple(header) == COLUMNS
    assert [row[:5] for row in rows] == [["reference", "0.5", "0.50", seed, "1 x 1"] for seed in ("0", "3")]
    for row in rows:
        assert all(0 < float(psnr) < 25 for psnr in row[5].split(" / "))
        assert all(int(hits) in range(9) for hits in row[6].split(" / "))
    assert rows[0][5] != rows[1][5]
