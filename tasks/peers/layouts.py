"""The table of layouts: what each system writes, whence its views are seen and what of it can be compared.

docs/evaluation.md shows the same table; a test compares the two. Everything is told from the system's public code,
which `source` names (owner/repository, file or issue); nothing of that code is copied.
"""

from collections.abc import Mapping

from tasks.peers.frames import Frame
from tasks.peers.layout import Layout
from tasks.peers.posed import read_eschernet, read_transforms
from tasks.peers.readers import (
    level_orthographic,
    level_ring,
    named,
    numbered,
    quarter_turns,
    scored_cameras,
    six_sides,
    strip_or_numbered,
    tiles,
    zero123plus,
)

VIEWS_AND_MASKS = "views as a whole"
OWN_MASKS = "masks, in its own cameras"
FITTED_MASKS = "masks, in its own cameras, after one scale per object"
FROM_MESHES = "meshes, and views rendered from them"
AS_POSED = "views that stand where the test set has one; else masks"

_ROWS = (
    Layout(
        "syncdreamer",
        "SyncDreamer",
        "UID/S.png: sample S as a strip of 16; or UID/000.png .. 015.png",
        "16 views, every 22.5 deg from the given one, at its elevation",
        VIEWS_AND_MASKS,
        "liuyuan-pal/SyncDreamer generate.py; byeongjun-park/HarmonyView eval_nvs.py",
        strip_or_numbered(16, level_ring(16), "{uid}/{sample}.png", "{uid}/{number:03d}.png"),
    ),
    Layout(
        "zero123",
        "Zero123",
        "UID/000.png, 001.png, ..: as many as the test set scores",
        "the scored views, as relative poses of the given one",
        VIEWS_AND_MASKS,
        "cvlab-columbia/zero123 zero123/gradio_new.py (elevation, azimuth and distance relative to the input)",
        numbered(scored_cameras, "{uid}/{number:03d}.png", "{uid}/{number}.png"),
    ),
    Layout(
        "zero123plus",
        "Zero123++ v1.2",
        "UID.png or UID/S.png: 3 rows x 2 columns of tiles (640 x 960)",
        "azimuths 30, 90, .. 330 deg from the given view, elevations 20 and -10 deg in turn, field of view 30 deg",
        OWN_MASKS,
        "SUDO-AI-3D/zero123plus README, issue 73",
        tiles(3, 2, zero123plus((20.0, -10.0), 30.0), "{uid}.png", "{uid}/{sample}.png"),
    ),
    Layout(
        "zero123plus-v1.1",
        "Zero123++ v1.1",
        "as zero123plus",
        "elevations 30 and -20 deg; field of view and distance as the given view's",
        FITTED_MASKS,
        "SUDO-AI-3D/zero123plus README, issue 68",
        tiles(3, 2, zero123plus((30.0, -20.0), None), "{uid}.png", "{uid}/{sample}.png"),
        fits_scale=True,
    ),
    Layout(
        "wonder3d",
        "Wonder3D",
        "UID/masked_colors/rgb_000_SIDE.png or UID/rgb_000_SIDE.png: front, front_right, right, back, left, front_left",
        "orthographic; 0, 45, 90, 180, -90, -45 deg about the up axis of the given view's camera",
        FITTED_MASKS,
        "xxlong0/Wonder3D test_mvdiffusion_seq.py, render_codes/README.md, issue 9",
        named(six_sides(1.35, is_tilted=True), "{uid}/masked_colors/rgb_000_{side}.png", "{uid}/rgb_000_{side}.png"),
        fits_scale=True,
    ),
    Layout(
        "era3d",
        "Era3D",
        "UID/color_SIDE_masked.png: the six sides of wonder3d",
        "orthographic, on the horizon; 0, 45, 90, 180, -90, -45 deg from the given view",
        FITTED_MASKS,
        "pengHTYX/Era3D app.py, blender/blender_render_script.py",
        named(six_sides(1.0, is_tilted=False), "{uid}/color_{side}_masked.png"),
        fits_scale=True,
    ),
    Layout(
        "mvdream",
        "MVDream",
        "UID.png or UID/S.png: a strip of 4",
        "quarter turns to the right from the given azimuth, elevation 15 deg; field of view unknown, taken as 40 deg",
        FITTED_MASKS,
        "bytedance/MVDream scripts/t2i.py, mvdream/camera_utils.py, issue 12",
        tiles(1, 4, quarter_turns(15.0), "{uid}.png", "{uid}/{sample}.png"),
        fits_scale=True,
    ),
    Layout(
        "imagedream",
        "ImageDream",
        "UID.png or UID/S.png: a strip of 4",
        "as mvdream, elevation 5 deg",
        FITTED_MASKS,
        "bytedance/ImageDream extern/ImageDream/scripts/demo.py",
        tiles(1, 4, quarter_turns(5.0), "{uid}.png", "{uid}/{sample}.png"),
        fits_scale=True,
    ),
    Layout(
        "mv-adapter",
        "MV-Adapter",
        "UID.png or UID/S.png: a strip of 6",
        "orthographic, on the horizon; 0, 45, 90, 180, 270, 315 deg from the given view, 1.1 wide",
        FITTED_MASKS,
        "huanngzh/MV-Adapter scripts/inference_i2mv_sdxl.py",
        tiles(1, 6, level_orthographic((0, 45, 90, 180, 270, 315), 1.1), "{uid}.png", "{uid}/{sample}.png"),
        fits_scale=True,
    ),
    Layout(
        "eschernet",
        "EscherNet",
        "UID/0.png: a strip of all views (from 100 on UID/N.png), and UID/NNN.npy: their poses",
        "as posed, in the frame of the test set; field of view 49.1 deg",
        AS_POSED,
        "kxhit/EscherNet eval_eschernet.py; cvlab-columbia/zero123 objaverse-rendering/scripts/blender_script.py",
        read_eschernet,
    ),
    Layout(
        "seva",
        "SEVA",
        "UID/transforms.json and the pictures that it names",
        "as posed, in the frame of the test set",
        AS_POSED,
        "Stability-AI/stable-virtual-camera seva/eval.py (create_transforms_simple)",
        read_transforms,
    ),
    Layout(
        "nerf",
        "Posed views",
        "UID/transforms.json and the pictures that it names",
        "as posed, in the frame of the test set",
        AS_POSED,
        "bmild/nerf load_blender.py; NVlabs/instant-ngp docs (transforms.json)",
        read_transforms,
    ),
    Layout(
        "leap",
        "LEAP",
        "UID/NAME.png or UID/NNN.png: renders of the scored views, in their order",
        "the scored views",
        VIEWS_AND_MASKS,
        "hwjiang1510/LEAP scripts/evaluator.py (renders given target poses; no layout of files)",
        numbered(scored_cameras, "{uid}/{name}.png", "{uid}/{number:03d}.png"),
    ),
    Layout(
        "pf-lrm",
        "PF-LRM",
        "as leap",
        "the scored views",
        VIEWS_AND_MASKS,
        "no official code; as leap",
        numbered(scored_cameras, "{uid}/{name}.png", "{uid}/{number:03d}.png"),
    ),
    Layout(
        "neus",
        "NeuS (SyncDreamer)",
        "UID-neus/mesh.ply, UID/mesh.ply, or as mesh",
        "Z up, the given view at azimuth 0, units of the longest side",
        FROM_MESHES,
        "liuyuan-pal/SyncDreamer README (train_renderer.py), eval_mesh.py (used as it is)",
        frame=Frame(),
    ),
    Layout(
        "openlrm",
        "OpenLRM",
        "UID.ply, or as mesh",
        "Z up, the given camera at (0, -2, 0) and upright there, focal length 0.75",
        FROM_MESHES,
        "3DTopia/OpenLRM openlrm/runners/infer/lrm.py (_default_source_camera)",
        frame=Frame(up="Z", front="-Y", is_tilted=True, scale="given", focal_over_distance=0.75 / 2.0),
    ),
    Layout(
        "instantmesh",
        "InstantMesh",
        "UID.obj with vertex colours or a texture, or as mesh",
        "Z up, the given view at azimuth 0; normalized in size",
        FROM_MESHES,
        "TencentARC/InstantMesh run.py, src/utils/camera_util.py",
        frame=Frame(scale="longest"),
    ),
    Layout(
        "trellis",
        "TRELLIS",
        "UID.glb, or as mesh",
        "glTF: Y up, front +Z, which need not be the given view (see --front); normalized in size",
        FROM_MESHES,
        "microsoft/TRELLIS trellis/utils/postprocessing_utils.py (to_glb)",
        frame=Frame(up="Y", front="Z", scale="longest"),
    ),
    Layout(
        "mesh",
        "Meshes",
        "UID.obj, .ply or .glb, or one such file in UID/",
        "as --up, --front and --scale say; by default Z up, the given view at azimuth 0, as it is",
        FROM_MESHES,
        "LRM, DMV3D and others without code of their own",
        frame=Frame(),
    ),
    Layout(
        "mvdiffusion",
        "MVDiffusion",
        "SCENE/0.png .. 7.png",
        "8 views of a panorama, each 45 deg to the right of the one before, field of view 90 deg",
        "agreement of neighbouring views where they overlap",
        "Tangshitao/MVDiffusion demo.py",
    ),
)
LAYOUTS: Mapping[str, Layout] = {row.name: row for row in _ROWS}
"""By name, in the order of the table."""


def layout_named(name: str) -> Layout:
    """Return a layout.

    Raises ValueError when there is none of the name.
    """
    if name not in LAYOUTS:
        raise ValueError(f"layout {name!r} is none of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
