"""Every layout of views: ground truth that the test packs comes back as the views that it shows."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.reconstruction.mesh import Mesh
from render.cameras import Camera
from tasks.peers.cameras import matches
from tasks.peers.layout import PeerView, Request
from tasks.peers.layouts import LAYOUTS, layout_named
from tasks.peers.mesh_files import read_surfaces
from tasks.peers.own_cameras import own_mask_iou
from tasks.peers.panorama import find_scenes, overlap_psnr
from tests.tasks.peers import meshes, packing
from tests.tasks.peers.balls import OBJECTS, on_background, save

RING = [Camera(f"r{number:02d}", 22.5 * number, 30.0, 1.5, 49.13) for number in range(16)]
WHITE_ON = {"syncdreamer", "zero123", "eschernet", "seva", "nerf"}
AT_TRUTH: dict[str, packing.Pack] = {
    "syncdreamer": packing.pack_syncdreamer,
    "zero123": packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=False),
    "leap": packing.pack_numbered("{uid}/r{number:02d}.png", with_alpha=True),
    "pf-lrm": packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=True),
    "eschernet": packing.pack_eschernet,
    "seva": packing.pack_transforms(),
    "nerf": packing.pack_transforms(numbers=range(0, 16, 2)),
}
ELSEWHERE: dict[str, packing.Pack] = {
    "zero123plus": packing.pack_zero123plus((20, -10), 127, 30.0),
    "zero123plus-v1.1": packing.pack_zero123plus((30, -20), 255, None),
    "wonder3d": packing.pack_wonder3d,
    "era3d": packing.pack_era3d,
    "mvdream": packing.pack_quarter_turns(15),
    "imagedream": packing.pack_quarter_turns(5),
    "mv-adapter": packing.pack_mv_adapter,
    "seva": packing.pack_transforms(turn=10.0, numbers=range(0, 16, 4)),
}


def request(folder: Path, uid: str) -> Request:
    balls = OBJECTS[uid]
    radius = float((np.linalg.norm(balls.centres, axis=1) + balls.radii).max())
    return Request(folder, uid, RING[0], RING, radius, sample=1)


def read(layout: str, folder: Path, uid: str) -> list[PeerView]:
    reader = layout_named(layout).views
    assert reader is not None
    return reader(request(folder, uid))


def true_mesh(uid: str) -> Mesh:
    solid = OBJECTS[uid].mesh()
    return Mesh(
        solid.vertices.astype(np.float32), solid.faces.astype(np.int32), np.zeros(solid.vertices.shape, np.uint8)
    )


def iou(layout: str, views: Sequence[PeerView], uid: str) -> float:
    return own_mask_iou(views, true_mesh(uid), fits_scale=layout_named(layout).fits_scale)


@pytest.mark.parametrize("layout", AT_TRUTH)
def test_views_at_true_cameras_come_back_pixel_by_pixel(layout: str, tmp_path: Path) -> None:
    AT_TRUTH[layout](tmp_path)
    for uid in OBJECTS:
        views, truth = read(layout, tmp_path, uid), packing.ring(uid)
        pairs = list(matches([view.camera for view in views], RING))
        assert {camera.name for _, camera in pairs} == {camera.name for camera in RING[:: 2 if layout == "nerf" else 1]}
        for number, camera in pairs:
            shown, true = views[number].rgba, truth[int(camera.name[1:])]
            difference = on_background(shown, 255).astype(int) - on_background(true, 255)
            assert np.abs(difference).max() <= 1
            masks = shown[..., 3] > 127, true[..., 3] > 127
            assert (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum() > (0.85 if layout in WHITE_ON else 0.999)


@pytest.mark.parametrize("layout", ELSEWHERE)
def test_masks_elsewhere_fit_the_true_silhouettes_and_no_others(layout: str, tmp_path: Path) -> None:
    ELSEWHERE[layout](tmp_path)
    for uid in OBJECTS:
        views = read(layout, tmp_path, uid)
        right = iou(layout, views, uid)
        mirrored = [PeerView(view.camera, view.rgba[:, ::-1]) for view in views]
        shifted = [PeerView(view.camera, views[number - 1].rgba) for number, view in enumerate(views)]
        assert right > 0.84
        assert iou(layout, mirrored, uid) < right - 0.1
        assert iou(layout, shifted, uid) < right - 0.1


def test_panorama_agrees_where_neighbours_overlap(tmp_path: Path) -> None:
    packing.pack_panorama(tmp_path)
    right = overlap_psnr(find_scenes(tmp_path)["room"])
    assert right > 40
    for number in range(4):  # the same views in the other direction
        one, other = (tmp_path / "room" / f"{n}.png" for n in (number, 7 - number))
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
    assert overlap_psnr(tmp_path / "room") < 20


def break_strip(folder: Path) -> None:
    save(folder / "pile" / "1.png", np.zeros((32, 500, 3), np.uint8))


def break_into_giant(folder: Path) -> None:
    """A file of a few bytes whose header says 30,000 x 30,000 pixels, more than Pillow decodes."""
    size = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (size, b"IDAT")]
    (folder / "pair" / "r07.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def break_pose(folder: Path) -> None:
    path = folder / "pair" / "transforms.json"
    path.write_text(path.read_text().replace("file_path", "path", 1))


@pytest.mark.parametrize(
    ("layout", "pack", "spoil", "sentence"),
    [
        (
            "syncdreamer",
            packing.pack_syncdreamer,
            break_strip,
            r"pile.1.png is 500 x 32 pixels; expected 1 x 16 square",
        ),
        (
            "wonder3d",
            packing.pack_wonder3d,
            "pair/masked_colors/rgb_000_left.png",
            "pair is incomplete: .*rgb_000_left",
        ),
        ("zero123plus", packing.pack_era3d, "pile/color_back_masked.png", "pile is incomplete: .* has no pile.png"),
        ("seva", packing.pack_transforms(), "pile/samples-rgb/004.png", "names ./samples-rgb/004.png, but there is no"),
        ("seva", packing.pack_transforms(), break_pose, "transforms.json: frame 0 has no file_path"),
        (
            "leap",
            packing.pack_numbered("{uid}/r{number:02d}.png", with_alpha=True),
            break_into_giant,
            r"r07\.png cannot be read as a picture .*decompression bomb",
        ),
        ("eschernet", packing.pack_eschernet, "pair/015.npy", r"pair.0.png is 512 x 32 .*expected 1 x 15 square tiles"),
    ],
)
def test_incomplete_or_misshaped_folder_is_one_sentence(
    layout: str, pack: packing.Pack, spoil: packing.Pack | str, sentence: str, tmp_path: Path
) -> None:
    pack(tmp_path)
    if isinstance(spoil, str):
        (tmp_path / spoil).unlink()
    else:
        spoil(tmp_path)
    with pytest.raises(ValueError, match=sentence) as caught:
        _ = [read(layout, tmp_path, uid) for uid in OBJECTS]
    assert "\n" not in str(caught.value)


def test_mesh_with_torn_texture_is_one_sentence(tmp_path: Path) -> None:
    meshes.write_objs(meshes.as_it_is)(tmp_path)
    texture = tmp_path / "pile" / "all.png"
    texture.write_bytes(texture.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.obj has a texture that cannot be decoded"):
        read_surfaces(tmp_path / "pile" / "model.obj")


def test_docs_have_the_table_of_layouts() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    for row in LAYOUTS.values():
        cells = (f"`{row.name}`", row.title, row.files, row.cameras, row.compared, row.source)
        assert f"| {' | '.join(cells)} |\n" in page
