"""Read back as SyncDreamer's loader does (sources: tasks/commands/export/syncdreamer.py)."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from render.cameras import Camera
from tasks.artifacts.views import ViewSet
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import SIDE, export, our_pixel, seal_objects, seen_by_opencv

FOV = 49.13
TARGETS = [Camera(f"t{index:02d}", 22.5 * index, 30, 1.5, FOV) for index in range(16)]
SECOND_ROW = [Camera(f"t{16 + index:02d}", 22.5 * index, 0, 1.5, FOV) for index in range(16)]
CONDITIONS = [Camera("c00", 45, 12.5, 1.9, FOV), Camera("c01", 337.5, -7, 1.6, FOV)]


def test_syncdreamer_inputs_and_targets_share_azimuths_and_cameras_are_ours(tmp_path: Path) -> None:
    rows = [*TARGETS[3:], *SECOND_ROW, *CONDITIONS, *TARGETS[:3]]
    views = seal_objects(tmp_path, {"a": rows, "b": rows}, val=["b"])
    export(Source.open(views), "syncdreamer", tmp_path / "out")
    assert pickle.loads((tmp_path / "out/uid_set.pkl").read_bytes()) == ["a"]
    assert pickle.loads((tmp_path / "out/uid_set_val.pkl").read_bytes()) == ["b"]
    inputs = [
        CONDITIONS[0] if index == 2 else CONDITIONS[1] if index == 15 else SECOND_ROW[index] for index in range(16)
    ]
    meta = pickle.loads((tmp_path / "out/input/a/meta.pkl").read_bytes())
    intrinsics, azimuths, elevations, distances, poses = meta
    assert intrinsics.shape == (3, 3)
    assert poses.shape == (16, 3, 4)
    np.testing.assert_allclose(azimuths, np.arange(16) / 16 * 2 * np.pi, atol=1e-9)
    np.testing.assert_allclose(elevations, np.radians([camera.elevation_deg for camera in inputs]))
    np.testing.assert_allclose(distances, [camera.distance for camera in inputs])
    loaded = ViewSet.open(views)
    for index in range(16):
        for part, camera in (("target", TARGETS[index]), ("input", inputs[index])):
            image = np.array(Image.open(tmp_path / f"out/{part}/a/{index:03d}.png"))
            np.testing.assert_array_equal(image, loaded.image("a", camera.name))
        assert seen_by_opencv(poses[index], intrinsics) == pytest.approx(our_pixel(inputs[index], SIDE), abs=1e-4)


def test_syncdreamer_other_cameras_are_refused_with_what_to_render(tmp_path: Path) -> None:
    fewer = seal_objects(tmp_path / "fewer", {"a": [*TARGETS[:15], *SECOND_ROW]})
    with pytest.raises(ValueError, match=r"a has no view at azimuth 337\.5, elevation 30, .* render\.azimuths 16"):
        export(Source.open(fewer), "syncdreamer", tmp_path / "out")
    alone = seal_objects(tmp_path / "alone", {"a": [*TARGETS, *CONDITIONS]})
    with pytest.raises(ValueError, match=r"a has no view at azimuth 0 beside t00; .* render with a second row"):
        export(Source.open(alone), "syncdreamer", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
