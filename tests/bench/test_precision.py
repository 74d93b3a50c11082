"""The benchmark of bfloat16 at toy size."""

from pathlib import Path

import pytest

from models.network.noise import build_scheduler
from tests.bench.precision import main
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.small_views import write_small_views


def rows(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], float]:
    """Values by quantity and by what computes in bfloat16."""
    cells = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    return {(what, part): float(value) for _, what, part, value in cells}


@pytest.mark.usefixtures("bfloat16_attention")
def test_precision_of_a_random_vae_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--width", "toy", "--side", "32"])
    found = rows(capsys)
    assert len(found) == 3
    assert all(30 < value < 70 for value in found.values())


@pytest.mark.usefixtures("bfloat16_attention")
@pytest.mark.slow(seconds=4)
def test_precision_of_a_model_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path / "model")
    views = write_small_views(tmp_path, num_objects=2)
    main(["--model", str(tmp_path / "model"), "--views", str(views), "--steps", "2"])
    found = rows(capsys)
    assert len(found) == 6
    assert all(30 < value < 80 for value in found.values())
    drawn = "drawn views, PSNR, unipc 2"
    assert found[drawn, "all"] < found[drawn, "UNet, image encoder"]
    with pytest.raises(SystemExit):
        main(["--model", str(tmp_path / "model")])
