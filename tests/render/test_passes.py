import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from render.passes import DEPTH_UNIT, View, decode_depth, decode_normal, encode_depth, encode_normal, view_files
from tests.render.toys import camera, toy_config


@given(st.lists(st.floats(0, 6.5), min_size=6, max_size=6))
def test_depth_comes_back_from_its_file_to_half_a_step(values: list[float]) -> None:
    depth = np.array(values, dtype=np.float32).reshape(2, 3)
    back = decode_depth(encode_depth(depth))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, depth, atol=0.51 * DEPTH_UNIT)


def test_depth_beyond_the_last_step_stays_at_it() -> None:
    assert decode_depth(encode_depth(np.full((1, 1), 9.0, dtype=np.float32)))[0, 0] == pytest.approx(6.5535)


@given(st.integers(0, 2**32 - 1))
def test_normal_comes_back_from_its_file_within_half_a_degree(seed: int) -> None:
    normal = np.random.default_rng(seed).normal(size=(4, 4, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[0, 0] = 0
    back = decode_normal(encode_normal(normal))
    assert not back[0, 0].any()
    cosines = (back * normal).sum(axis=-1).ravel()[1:]
    assert np.degrees(np.arccos(cosines.clip(-1, 1))).max() < 0.5


def test_view_files_are_those_that_the_view_has() -> None:
    rgba, depth = np.zeros((8, 8, 4), dtype=np.uint8), np.ones((8, 8), dtype=np.float32)
    files = view_files([camera(name="t00"), camera(name="t01")], [View(rgba), View(rgba, depth)])
    assert set(files) == {"t00.png", "t01.png", "t01.depth.png"}
    with pytest.raises(ValueError, match=r"argument 2 is shorter"):
        view_files([camera()], [])


def test_config_passes_of_an_engine_that_takes_none_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"passes is \['depth'\] and engine eevee; only cycles takes them"):
        toy_config(passes=("depth",), engine="eevee")
