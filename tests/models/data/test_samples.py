from pathlib import Path

import pytest
import torch

from models.data.samples import SampleReader, Samples, group_by_views
from tests.models.toy_latents import SCALE, make_reader, write_toy_latents


@pytest.fixture
def reader(tmp_path: Path) -> SampleReader:
    return make_reader(write_toy_latents(tmp_path))


def test_read_targets_stand_where_their_ids_say_seen_from_the_first_condition(reader: SampleReader) -> None:
    """The content of each view says its absolute azimuth column and elevation row (sec. 4.1: alignment)."""
    for number in range(40):
        samples = reader.read(number)
        num_conditions = samples.condition_BKCHW.shape[1]
        columns = (samples.clean_BVCHW[0, :, 0, 0, 0] / SCALE).round().long()
        rows = (samples.clean_BVCHW[0, :, 1, 0, 0] / SCALE).round().long()
        ids = samples.target_ids_BT[0]
        reference = columns[0]
        assert torch.equal((columns[num_conditions:] - reference) % 8, ids % 8)
        assert torch.equal(rows[num_conditions:], ids // 8)
        assert torch.all(rows[:num_conditions] == -1)  # conditions come first


def test_read_all_views_belong_to_the_drawn_object(reader: SampleReader) -> None:
    for number in range(10):
        samples = reader.read(number)
        objects = (samples.clean_BVCHW[0, :, 3, 0, 0] / SCALE).round()
        (uid,) = reader.names([number])
        assert torch.all(objects == int(uid[1:]))
        assert torch.all(samples.embeds_BKD[0, :, 0] // 10 == int(uid[1:]))


def test_read_condition_latents_and_embeds_are_those_of_the_condition_views(reader: SampleReader) -> None:
    samples = reader.read(3)
    num_conditions = samples.condition_BKCHW.shape[1]
    torch.testing.assert_close(samples.condition_BKCHW, samples.clean_BVCHW[:, :num_conditions])
    chosen = (samples.condition_BKCHW[0, :, 2, 0, 0] / SCALE).round().long() - 32
    assert (samples.embeds_BKD[0, :, 0] % 10).long().tolist() == chosen.tolist()


def test_read_dropped_condition_is_zero_but_still_to_be_denoised(tmp_path: Path) -> None:
    latents = write_toy_latents(tmp_path)
    kept, dropped = make_reader(latents).read(3), make_reader(latents, condition_drop=0.999999).read(3)
    assert not dropped.condition_BKCHW.any()
    assert not dropped.embeds_BKD.any()
    assert (kept.is_dropped_B.tolist(), dropped.is_dropped_B.tolist()) == ([False], [True])
    assert torch.equal(dropped.clean_BVCHW, kept.clean_BVCHW)


def test_read_batch_size_and_order_change_no_sample(reader: SampleReader) -> None:
    alone = {number: reader.read(number) for number in (7, 2, 11)}
    for number in (11, 7, 2):
        again = reader.read(number)
        assert all(torch.equal(a, b) for a, b in zip(vars(alone[number]).values(), vars(again).values(), strict=True))


def test_group_by_views_holds_every_sample_once_in_groups_of_equal_views(reader: SampleReader) -> None:
    singles = [reader.read(number) for number in range(20)]
    groups = group_by_views(singles, max_samples=3)
    assert sum(len(group) for group in groups) == 20
    assert max(len(group) for group in groups) == 3
    assert len({group.clean_BVCHW.shape[1] for group in groups}) > 2

    def noises(samples: list[Samples]) -> list[float]:
        return sorted(float(noise) for group in samples for noise in group.noise_BVCHW[:, 0, 0, 0, 0])

    assert noises(groups) == noises(singles)


def test_read_validation_is_fixed_and_other_than_training(reader: SampleReader) -> None:
    first, again = reader.read_validation(1, timestep=5), reader.read_validation(1, timestep=700)
    assert torch.equal(first.noise_BVCHW, again.noise_BVCHW)
    assert again.timestep_B.tolist() == [700]
    assert not torch.equal(first.noise_BVCHW[:, 0], reader.read(1).noise_BVCHW[:, 0])
