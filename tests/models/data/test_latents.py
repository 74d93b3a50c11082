import filecmp
import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from models.data.latent_index import LatentIndex, ObjectRow, read_latent_index
from models.data.latents import LatentSet, ObjectLatents, sample_posterior, write_shard
from tests.models.toy_latents import LAYOUT, condition_columns, embeds_of, moments_of, write_toy_latents


def test_latent_set_written_and_opened_gives_back_every_view(tmp_path: Path) -> None:
    latents = write_toy_latents(tmp_path)
    assert latents.layout == LAYOUT
    assert latents.uids() == ["o0", "o1", "o2", "o3"]
    assert latents.uids("train") == ["o0", "o1", "o2"]
    assert latents.uids("val") == ["o3"]
    for number in range(4):
        assert torch.equal(latents.views(f"o{number}", range(37)), moments_of(number))
        assert torch.equal(latents.embeds(f"o{number}", [4, 0]), embeds_of(number)[[4, 0]])
        assert [latents.condition_column(f"o{number}", k) for k in range(5)] == condition_columns(number)
    assert torch.equal(latents.white()[:, :4], torch.full((1, 4, 4, 4), 0.5))


def test_latent_set_views_come_in_the_order_asked(tmp_path: Path) -> None:
    latents = write_toy_latents(tmp_path)
    assert latents.views("o1", [31, 0, 7])[:, 2, 0, 0].tolist() == [31, 0, 7]
    assert latents.condition_views("o1", [2, 0])[:, 2, 0, 0].tolist() == [34, 32]


def test_latent_set_reads_only_the_views_asked_for(tmp_path: Path) -> None:
    write_toy_latents(tmp_path)
    path = tmp_path / "latents-00000.safetensors"
    content = bytearray(path.read_bytes())
    bytes_per_view = 2 * 4 * 4 * 4 * 2
    # o0's moments are first in the shard: find view 3 by its bytes and destroy it
    view = moments_of(0)[3].contiguous().half().numpy().tobytes()
    start = bytes(content).index(view)
    content[start : start + bytes_per_view] = b"\xff" * bytes_per_view
    path.write_bytes(bytes(content))

    latents = LatentSet.open(tmp_path)
    assert torch.equal(latents.views("o0", [2, 4]), moments_of(0)[[2, 4]])
    with pytest.raises(ValueError, match="tensor 3 of o0 has changed"):
        latents.views("o0", [3])


def test_latent_set_written_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_toy_latents(tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["index.safetensors", "latents-00000.safetensors", "latents-00001.safetensors", "white.safetensors"]
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False) == (names, [], [])


def test_latent_set_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no index\.safetensors"):
        LatentSet.open(tmp_path)


def test_latent_index_of_the_old_form_is_still_read(tmp_path: Path) -> None:
    """Sets that were encoded before hold days of work."""
    new = write_toy_latents(tmp_path)
    (tmp_path / "index.safetensors").unlink()
    rows = {uid: asdict(row) for uid, row in new.objects.items()}
    (tmp_path / "index.json").write_text(json.dumps(asdict(LAYOUT) | {"objects": rows}))
    old = LatentSet.open(tmp_path)
    assert old.layout == new.layout
    assert dict(old.objects) == dict(new.objects)
    assert torch.equal(old.views("o2", [0, 36]), new.views("o2", [0, 36]))


def test_latent_index_gives_back_the_rows_that_it_was_made_of(tmp_path: Path) -> None:
    rows = {
        "b": ObjectRow("latents-00001.safetensors", "train", [3, 1], 2**32 - 1),
        "a": ObjectRow("latents-00000.safetensors", "val", [0, 2, 7], 5),
        "c": ObjectRow("latents-00000.safetensors", "train", [], 0),
    }
    LatentIndex.of(rows).write(tmp_path, LAYOUT)
    layout, index = read_latent_index(tmp_path)
    assert layout == LAYOUT
    assert dict(index) == rows
    assert (index.uids(), index.uids("train"), index.uids("test")) == (["a", "b", "c"], ["b", "c"], [])
    assert index.num_conditions == 0


def test_damaged_latent_index_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    write_toy_latents(tmp_path)
    path = tmp_path / "index.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"index.safetensors is damaged.*dvc checkout"):
        LatentSet.open(tmp_path)


def test_sample_posterior_many_draws_have_the_stated_mean_and_deviation() -> None:
    moments = torch.cat([torch.full((1, 1, 200, 200), 3.0), torch.full((1, 1, 200, 200), 2 * math.log(0.5))], 1)
    noise = torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    drawn = sample_posterior(moments, noise)
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.5, abs=0.01)


def test_latents_copied_from_another_set_are_refused(tmp_path: Path) -> None:
    write_toy_latents(tmp_path / "own")
    name = "latents-00000.safetensors"
    write_shard(tmp_path / name, {f"o{n}": ObjectLatents(moments_of(n) + 100, embeds_of(n)) for n in (0, 2)})
    latents = LatentSet.open(tmp_path / "own", lambda shard: tmp_path / shard)
    with pytest.raises(
        ValueError, match=rf"{name}, a copy, is broken \(its o0 is not the one of index\.safetensors\); remove it"
    ):
        latents.views("o0", [0])


@pytest.mark.parametrize("fault", ["truncated", "one bit", "missing"])
def test_latents_shard_that_is_not_what_was_encoded_is_refused(tmp_path: Path, fault: str) -> None:
    whole = write_toy_latents(tmp_path)
    last = int(whole.layout.num_targets) + 4
    shard = tmp_path / "latents-00001.safetensors"
    with safe_open(shard, framework="pt") as stored:
        wanted = stored.get_tensor("o1/moments").numpy().tobytes()
    content = bytearray(shard.read_bytes())
    content[content.index(wanted) + len(wanted) - 1] ^= 1
    if fault == "missing":
        shard.unlink()
    else:
        shard.write_bytes(content if fault == "one bit" else content[:-10])
    latents = LatentSet.open(tmp_path)
    assert latents.views("o0", [0]).shape == (1, 8, 4, 4), "the other shard is whole"
    if fault == "one bit":
        assert latents.views("o1", [0]).shape == (1, 8, 4, 4), "the other views are whole"
    with pytest.raises(ValueError, match=r"latents-00001.safetensors is broken \(.*run `dvc repro encode`"):
        latents.views("o1", [last])
