import hashlib

import pytest

from render.randomness import hashed_bits


@pytest.mark.parametrize(("num_bits", "digits"), [(128, 32), (56, 14), (32, 8)])
def test_hashed_bits_are_the_first_digits_of_the_hash(num_bits: int, digits: int) -> None:
    text = hashlib.sha256(b"0/render/mug-0000").hexdigest()
    assert hashed_bits(num_bits, 0, "render", "mug-0000") == int(text[:digits], 16)


def test_hashed_bits_of_an_odd_number_of_bits_drop_the_last() -> None:
    assert hashed_bits(31, "a") == hashed_bits(32, "a") >> 1


def test_hashed_bits_of_other_names_differ() -> None:
    assert len({hashed_bits(31, seed, "noise") for seed in range(100)}) == 100
