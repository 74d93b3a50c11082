"""The committed gates turn black objects away and keep dark ones."""

from pathlib import Path
from typing import Any

import pytest

from flows.params import load_params
from render.device import Machine
from render.errors import Unrenderable
from render.placement import normalize_bounds
from render.quality_gates import Inspection
from render.views import target_cameras
from tests.render.gltf_files import Gltf, box

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

PARAMS = Path(__file__).parents[2] / "params.yaml"
UNLIT: dict[str, Any] = {"KHR_materials_unlit": {}}
DULL: dict[str, Any] = {"KHR_materials_specular": {"specularFactor": 0.0}}


def look(folder: Path, albedo: float, roughness: float, extensions: dict[str, Any]) -> None:
    """Render a box in every fourth target view and put it through the gates."""
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1, 0.8, 0.6), gltf.material((albedo,) * 3, extensions=extensions)))
    gltf.document["materials"][0]["pbrMetallicRoughness"]["roughnessFactor"] = roughness
    path = gltf.write(folder / "box.gltf")
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    config = load_params(PARAMS).render
    cameras = target_cameras(config)[::4]
    inspection = Inspection(config.gates, len(cameras))
    taken = shots.render_views(path, placement, cameras, config, uid="box", seed=0, machine=Machine(1))
    list(inspection.watch(cameras, taken))


@pytest.mark.parametrize(("albedo", "extensions"), [(0.0, UNLIT), (0.002, UNLIT), (0.0, DULL)])
def test_black_object_is_turned_away(tmp_path: Path, albedo: float, extensions: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable, match=r"^black: .*nothing of it reflects light"):
        look(tmp_path, albedo, 1.0, extensions)


@pytest.mark.parametrize(
    ("albedo", "roughness", "extensions"),
    [(0.02, 0.95, {}), (0.015, 0.5, {}), (0.015, 0.5, DULL), (0.02, 1.0, UNLIT)],
    ids=["tyre", "leather", "velvet", "unlit"],
)
def test_dark_object_is_kept(tmp_path: Path, albedo: float, roughness: float, extensions: dict[str, Any]) -> None:
    look(tmp_path, albedo, roughness, extensions)
