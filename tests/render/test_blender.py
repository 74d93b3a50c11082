import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from PIL import Image
from scipy.spatial import ConvexHull
from trimesh.exchange.gltf import export_gltf

from render.cameras import Camera, Matrix, project
from render.config import LightConfig, RenderConfig
from render.device import Machine
from render.errors import Unrenderable
from render.images import Rgba, coverage
from render.passes import Floats, View
from render.placement import Placement, normalize_bounds
from tests.render.toys import camera, painted, toy_config, write_axes, write_box

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

CAMERAS = [
    camera(name="t00"),
    camera(45, 60, 1.5, name="t01"),
    camera(200, -30, 2.2, 40, name="t02"),
    camera(301, 12, 1.7, 49.13, name="t03"),
]
STUDIO = LightConfig(sky=0.5, ground=0.5, suns="studio", sun=1.5)
RANDOM = LightConfig(sky=0.5, ground=0.5, suns="random", sun=1.5)


def placed(path: Path, longest_side: float = 1.0) -> Placement:
    report = objects.inspect(path)
    return normalize_bounds(report.minimum, report.maximum, longest_side)


def views(
    path: Path,
    cameras: Sequence[Camera],
    config: RenderConfig | None = None,
    *,
    uid: str = "object",
    seed: int = 0,
    threads: int = 1,
) -> list[Rgba]:
    return [view.rgba for view in take(path, cameras, config or toy_config(), uid=uid, seed=seed, threads=threads)]


def take(
    path: Path, cameras: Sequence[Camera], config: RenderConfig, *, uid: str = "object", seed: int = 0, threads: int = 1
) -> list[View]:
    machine = Machine(threads)
    return list(shots.render_views(path, placed(path), cameras, config, uid=uid, seed=seed, machine=machine))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_box(tmp_path_factory.mktemp("box") / "box.glb")


@pytest.fixture(scope="module")
def axes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_axes(tmp_path_factory.mktemp("axes") / "axes.glb")


def test_inspect_box_is_reported_z_up_in_the_files_units(box: Path) -> None:
    report = objects.inspect(box)
    np.testing.assert_allclose(np.subtract(report.maximum, report.minimum), [1.0, 0.3, 0.6], atol=1e-6)
    assert (report.num_faces, report.num_meshes, report.num_materials) == (12, 1, 1)
    assert (report.missing_textures, report.is_skinned, report.num_animations) == ((), False, 0)


def test_render_views_box_has_the_silhouette_that_project_predicts(box: Path) -> None:
    config = toy_config(samples=16)
    corners, _ = objects.triangles(box, placed(box))
    for view, image in zip(CAMERAS, views(box, CAMERAS, config), strict=True):
        expected, _ = project(view, corners.astype(np.float64), config.resolution)
        rows, columns = np.nonzero(image[..., 3] > 127)
        np.testing.assert_allclose([columns.min(), rows.min()], expected.min(axis=0), atol=1)
        np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], expected.max(axis=0), atol=1)
        assert coverage(image) * config.resolution**2 == pytest.approx(ConvexHull(expected).volume, rel=0.02)


def dominates(pixel: Rgba, channel: int) -> bool:
    """Whether one colour channel is strong and the others are weak."""
    return bool(pixel[channel] > 200 and max(np.delete(pixel[:3], channel)) < 60)


def test_render_views_axes_are_upright_and_turned_as_the_cameras_say(axes: Path) -> None:
    front, side = views(axes, [camera(0, 0), camera(270, 0)])
    reddest = front[30:34, 30:34].mean(axis=(0, 1))
    assert dominates(reddest, 0), "glTF +x looks at azimuth 0"
    top = front[np.nonzero(front[..., 3] > 200)[0].min() + 2, 32]
    assert dominates(top, 1), "glTF +y is up"
    left = front[32, np.nonzero(front[..., 3] > 200)[1].min() + 2]
    assert dominates(left, 2), "glTF +z is world -y: on the left of a camera on +x"
    bluest = side[30:34, 30:34].mean(axis=(0, 1))
    assert dominates(bluest, 2), "glTF +z looks at azimuth 270"


def test_render_views_uniform_light_shows_the_objects_own_colour(tmp_path: Path) -> None:
    path = write_box(tmp_path / "grey.glb", (128, 128, 128))
    image = views(path, [camera()], toy_config(samples=64, max_bounces=0))[0]
    linear = 128 / 255
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert image[32, 32, 3] == 255
    np.testing.assert_allclose(image[32, 32, :3], expected, atol=8)


def test_render_views_same_arguments_give_same_pixels_whatever_came_before(box: Path, axes: Path) -> None:
    config = toy_config(denoise="fast", light=RANDOM)
    once = views(box, CAMERAS, config)
    again = views(box, CAMERAS, config)
    views(axes, CAMERAS[:2], toy_config(light=STUDIO, samples=8))
    later = views(box, CAMERAS, config, threads=3)
    alone = views(box, CAMERAS[2:3], config)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(once, later)
    np.testing.assert_array_equal(once[2:3], alone)


def test_render_views_uid_and_seed_draw_other_lights_only_for_the_random_rig(box: Path) -> None:
    def shown(light: LightConfig, **names: Any) -> npt.NDArray[np.float64]:
        config = toy_config(light=light, samples=32)
        return views(box, [camera(30, 30)], config, **names)[0].astype(float)

    def difference(light: LightConfig, one: dict[str, Any], other: dict[str, Any]) -> float:
        return float(np.abs(shown(light, **one) - shown(light, **other)).mean())

    noise = difference(STUDIO, {"uid": "a"}, {"uid": "b"})
    assert noise > 0
    assert difference(RANDOM, {"uid": "a"}, {"uid": "b"}) > 2 * noise
    assert difference(RANDOM, {"seed": 0}, {"seed": 1}) > 2 * noise


def test_render_views_studio_light_models_a_white_object_without_blowing_it_out(tmp_path: Path) -> None:
    path = tmp_path / "ball.glb"
    painted(trimesh.creation.icosphere(subdivisions=4), (255, 255, 255)).export(path)
    config = toy_config(light=STUDIO, samples=16, denoise="fast", max_bounces=4)
    images = np.stack(views(path, [camera(azimuth, 20) for azimuth in range(0, 360, 45)], config))
    values = images[..., :3][images[..., 3] == 255]
    assert (values == 255).mean() < 0.02
    assert np.percentile(values, 1) > 150, "no side is dark"
    assert np.percentile(values, 95) - np.percentile(values, 5) > 40, "the light shows the form"


def test_render_views_background_is_clean_though_denoised(box: Path) -> None:
    image = views(box, [camera(30, 30)], toy_config(denoise="fast"))[0]
    assert image[0, 0].tolist() == [0, 0, 0, 0]
    assert not image[image[..., 3] == 0].any()


def test_render_rgba_renders_the_objects_part_of_the_image_as_in_the_whole(box: Path, tmp_path: Path) -> None:
    config = toy_config(samples=16)
    ready = shots.prepare(box, placed(box), config, tmp_path, uid="object", seed=0, machine=Machine(1))
    everything = replace(ready, outline=1e3 * np.array([[1, 1, 1], [-1, -1, -1], [1, -1, 1], [-1, 1, 1.0]]))
    for view in CAMERAS:
        part, whole = (shots.render_rgba(view, state).astype(int) for state in (ready, everything))
        assert ((part[..., 3] > 0) == (whole[..., 3] > 0)).mean() > 0.995
        assert np.abs(part - whole).mean() < 1.0


def test_render_views_object_beside_the_picture_is_an_empty_view(box: Path) -> None:
    low = camera(0, 0, 1.5, 20)
    report = objects.inspect(box)
    beside = replace(normalize_bounds(report.minimum, report.maximum, 0.1), center=(0.0, 0.0, 30.0))
    (view,) = shots.render_views(box, beside, [low], toy_config(), uid="object", seed=0, machine=Machine(1))
    assert not view.rgba.any()


def test_render_views_camera_inside_the_object_takes_the_whole_picture(box: Path) -> None:
    report = objects.inspect(box)
    large = normalize_bounds(report.minimum, report.maximum, 20.0)
    (view,) = shots.render_views(box, large, [camera()], toy_config(), uid="object", seed=0, machine=Machine(1))
    assert coverage(view.rgba) == 1


def test_render_views_second_object_before_the_first_is_finished_is_refused(box: Path) -> None:
    first = shots.render_views(box, placed(box), CAMERAS, toy_config(), uid="a", seed=0, machine=Machine(1))
    next(first)
    views(box, CAMERAS[:1])
    with pytest.raises(RuntimeError, match="take them all first"):
        next(first)


def test_render_views_lights_in_the_file_do_not_shine(tmp_path: Path, box: Path) -> None:
    def with_light(tree: dict[str, Any]) -> None:
        tree["extensionsUsed"] = ["KHR_lights_punctual"]
        tree["extensions"] = {"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 5000.0}]}}
        tree["nodes"].append({"extensions": {"KHR_lights_punctual": {"light": 0}}, "translation": [0.0, 1.0, 2.0]})
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]) - 1)

    lit = write_box(tmp_path / "lit.glb", tree_postprocessor=with_light)
    np.testing.assert_array_equal(views(lit, CAMERAS[:2]), views(box, CAMERAS[:2]))


def test_render_views_depth_and_normals_are_those_of_the_surface(box: Path) -> None:
    config = toy_config(passes=("depth", "normal"), samples=16)
    for view, taken in zip(CAMERAS, take(box, CAMERAS, config), strict=True):
        depth, normal = geometry(taken)
        surface = depth > 0
        assert (surface == (taken.rgba[..., 3] > 127)).mean() > 0.98
        assert (surface == normal.any(axis=-1)).all()
        rows, columns = np.nonzero(surface)
        points = unproject(view, columns + 0.5, rows + 0.5, depth[surface], config.resolution)
        half = np.array([0.5, 0.15, 0.3])
        outside = np.abs(points) - half
        np.testing.assert_allclose(outside.max(axis=1), 0, atol=1e-4, err_msg="every point lies on a face")
        axis = outside.argmax(axis=1)
        expected = np.eye(3)[axis] * np.sign(points)
        inner = np.sort(outside, axis=1)[:, 1] < -0.01  # edges belong to two faces
        np.testing.assert_allclose(normal[surface][inner], expected[inner], atol=1e-3)


@pytest.mark.parametrize(("alpha", "sees"), [(0.3, "wall"), (0.49, "wall"), (0.51, "veil"), (0.9, "veil")])
def test_render_views_veil_is_solid_or_absent_in_depth_and_normals(tmp_path: Path, alpha: float, sees: str) -> None:
    wall, veil = trimesh.creation.box((0.2, 1.0, 1.0)), trimesh.creation.box((0.02, 1.0, 1.0))
    veil.apply_translation((0.4, 0, 0))
    scene = trimesh.Scene([painted(wall, (200, 200, 200)), painted(veil, (40, 40, 200))])
    veil.visual.material.alphaMode, veil.visual.material.baseColorFactor = "BLEND", [40, 40, 200, int(255 * alpha)]
    scene.export(tmp_path / "veil.glb")
    (taken,) = take(tmp_path / "veil.glb", [camera()], toy_config(passes=("depth", "normal"), samples=16))
    width = 0.51
    expected = {"veil": 1.5 - width / 2, "wall": 1.5 + width / 2 - 0.2}[sees]
    depth, normal = geometry(taken)
    middle = depth[28:36, 28:36]
    np.testing.assert_allclose(middle, expected, atol=2e-3)
    np.testing.assert_allclose(normal[28:36, 28:36] @ [1, 0, 0], 1, atol=1e-3)


def geometry(taken: View) -> tuple[Floats, Floats]:
    """Depth and normals, which were asked for."""
    assert taken.depth is not None
    assert taken.normal is not None
    return taken.depth, taken.normal


def unproject(view: Camera, columns: Matrix, rows: Matrix, depths: Floats, side: int) -> Matrix:
    """World points (N, 3) that lie `depths` in front of the camera's plane, behind the given places in the picture."""
    focal = 0.5 * side / np.tan(np.radians(view.fov_deg) / 2)
    rays = np.stack([(columns - side / 2) / focal, (side / 2 - rows) / focal, -np.ones_like(columns)], axis=1)
    pose = view.world_from_camera
    return rays * depths[:, None] @ pose[:3, :3].T + pose[:3, 3]


def test_render_views_passes_leave_the_colours_alone(box: Path) -> None:
    alone = views(box, CAMERAS, toy_config(denoise="fast"))
    beside = views(box, CAMERAS, toy_config(denoise="fast", passes=("depth", "normal")))
    np.testing.assert_array_equal(alone, beside)


def test_render_views_pass_that_is_not_asked_for_is_not_made(box: Path) -> None:
    (taken,) = take(box, CAMERAS[:1], toy_config(passes=("normal",)))
    assert taken.depth is None
    assert taken.normal is not None
    assert taken.normal.any()


def test_render_views_device_that_is_absent_is_a_sentence(box: Path) -> None:
    with pytest.raises(RuntimeError, match=r"render_device is hip.*no such card here; set render_device: cpu"):
        next(shots.render_views(box, placed(box), CAMERAS, toy_config(), uid="a", seed=0, machine=Machine(1, "hip")))


@pytest.mark.slow
def test_render_views_eevee_sees_what_cycles_sees(tmp_path: Path) -> None:
    """In a process of its own: without a GL device Blender aborts."""
    box = write_box(tmp_path / "box.glb", (200, 40, 40))
    program = (
        "import sys, numpy as np; from pathlib import Path; from tests.render.test_blender import views\n"
        "from tests.render.toys import camera, toy_config\n"
        "config = toy_config(resolution=32, engine='eevee', samples=4)\n"
        "np.save(sys.argv[2], views(Path(sys.argv[1]), [camera(30, 30)], config))"
    )
    words = [sys.executable, "-c", program, str(box), str(tmp_path / "eevee.npy")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=900)
    if done.returncode < 0 or ("EGL" in done.stderr and done.returncode):
        pytest.skip("no GL device")
    assert done.returncode == 0, done.stderr
    cycles = views(box, [camera(30, 30)], toy_config(resolution=32, samples=64))[0].astype(float)
    eevee = np.load(tmp_path / "eevee.npy")[0].astype(float)
    assert ((cycles[..., 3] > 127) == (eevee[..., 3] > 127)).mean() > 0.98
    both = (cycles[..., 3] == 255) & (eevee[..., 3] == 255)
    assert np.abs(cycles - eevee)[both].mean() < 20


def test_triangles_box_is_the_placed_mesh(box: Path) -> None:
    vertices, faces = objects.triangles(box, placed(box, longest_side=2.0))
    assert (vertices.dtype, faces.dtype, faces.shape) == (np.float32, np.int32, (12, 3))
    mesh = trimesh.Trimesh(vertices, faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2.0 * 1.2 * 0.6, rel=1e-5)
    np.testing.assert_allclose(mesh.bounds, [[-1, -0.3, -0.6], [1, 0.3, 0.6]], atol=1e-6)


def test_triangles_several_parts_keep_their_places(axes: Path) -> None:
    vertices, faces = objects.triangles(axes, placed(axes))
    parts = trimesh.Trimesh(vertices, faces).split()
    assert len(parts) == 6
    assert sorted(float(part.centroid[2].round(3)) for part in parts) == [-0.4, 0, 0, 0, 0, 0.4]


def test_inspect_vertex_of_no_face_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "loose.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 2 0\nv 100 100 100\nf 1 2 3\n")
    report = objects.inspect(path)
    np.testing.assert_allclose(np.subtract(report.maximum, report.minimum), [1, 0, 2], atol=1e-6)
    assert report.num_faces == 1


def test_inspect_not_finite_vertex_is_unrenderable(tmp_path: Path, box: Path) -> None:
    content = bytearray(box.read_bytes())
    position = content.rindex(struct.pack("<3f", 0.5, 0.3, 0.15))
    content[position : position + 4] = struct.pack("<f", float("nan"))
    path = tmp_path / "nan.glb"
    path.write_bytes(content)
    with pytest.raises(Unrenderable, match="not finite"):
        objects.inspect(path)


def write_textured(folder: Path, kind: str) -> Path:
    """A box whose texture `paint.png` lies beside it."""
    mesh = trimesh.creation.box((1, 1, 1))
    picture = Image.new("RGB", (8, 8), "orange")
    mesh.visual = trimesh.visual.TextureVisuals(uv=mesh.vertices[:, :2], image=picture)
    if kind == "obj":
        mesh.visual.material.name = "paint"
        mesh.export(folder / "model.obj")
        return folder / "model.obj"
    files = export_gltf(trimesh.Scene(mesh), tree_postprocessor=lambda tree: tree.update(images=[{"uri": "paint.png"}]))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    picture.save(folder / "paint.png")
    return folder / "model.gltf"


@pytest.mark.parametrize("kind", ["gltf", "obj"])
def test_inspect_texture_that_is_gone_is_named(tmp_path: Path, kind: str) -> None:
    path = write_textured(tmp_path, kind)
    assert objects.inspect(path).missing_textures == ()
    (picture,) = tmp_path.glob("*.png")
    picture.unlink()
    assert objects.inspect(path).missing_textures == (picture.name,)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("page.glb", b"<html>not found</html>", "json error"),
        ("cut.glb", None, "size doesn't match"),
        ("scan.3ds", b"MM", r"a kind that is not read, \.3ds: convert it to GLB"),
    ],
)
def test_inspect_unreadable_file_is_unrenderable_with_a_reason(
    tmp_path: Path, box: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(box.read_bytes()[:-100] if content is None else content)
    with pytest.raises(Unrenderable, match=reason):
        objects.inspect(path)


def test_inspect_absent_file_is_our_mistake_not_the_objects(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        objects.inspect(tmp_path / "none.glb")


def test_inspect_on_another_thread_is_refused_before_blender_crashes(box: Path) -> None:
    errors = []

    def work() -> None:
        try:
            objects.inspect(box)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "main thread" in errors[0]
