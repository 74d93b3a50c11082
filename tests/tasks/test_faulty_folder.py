"""The whole folder of faulty inputs as catalog.folder, from the catalog to views: what becomes of each file."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from flows.params import Params, load_params
from render.quality import Quality
from tasks.artifacts.manifest import read_ledger
from tasks.catalog import make_catalog
from tasks.download import download_objects
from tasks.normalize import normalize_objects
from tasks.outcome import Done, Outcome
from tasks.render import render_objects
from tasks.select import select_objects
from tasks.sources.names import name_objects
from tests.tasks.toolbox import make_tools

ROOT = Path(__file__).parents[2]
FAULTS = ROOT.parent / "shared" / "data" / "faults"
pytestmark = [
    pytest.mark.blender,
    pytest.mark.slow(seconds=60),
    pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here"),
]

DONE = "render: done"
LOST = "normalize: .*obj_crlf.mtl"
LONG = (
    "names/long/a_very_long_name_as_sketchfab_and_photogrammetry_programs_write_them_"
    "a_very_long_name_as_sketchfab_and_photogrammetry_programs_write_them_.glb"
)
EXPECTED = {
    "backface/toon_outline_hull.glb": DONE,
    "hidden_node/hidden_node.glb": DONE,
    "names/future/0a1b/normalized_model.obj": LOST,
    "names/future/0a1b/raw_model.obj": "catalog: the same object as normalized_model.obj",
    "names/future/2c3d/normalized_model.obj": LOST,
    "names/future/2c3d/raw_model.obj": "catalog: the same object as normalized_model.obj",
    "names/linked/as_text.glb": "download: .*a link that was stored as text",
    "names/linked/gone.glb": "catalog: a link to nowhere.glb, which is not there",
    "names/linked/plain.glb": DONE,
    LONG: DONE,
    "names/long/short.glb": DONE,
    "names/names/my chair (1).glb": DONE,
    "names/names/my chair [1].glb": DONE,
    os.fsdecode(b"names/names/st\xfchle.glb"): r"catalog: its path names/names/st\\xfchle.glb is not UTF-8",
    "names/shapenet/03001627/1006be65e7bc937e9141f9b58470d646/models/model_normalized.obj": LOST,
    "names/shapenet/03001627/1007e20d5e811b308351982a6e40cf41/models/model_normalized.obj": LOST,
    "names/store/000-001/aaaa.glb": DONE,
    "names/twins/chair.glb": DONE,
    "names/twins/chair.obj": LOST,
    "not_finite/SparseNaN.gltf": "normalize: .*finite",
    "not_finite/nancolor.obj": DONE,
    "obj_alpha/obj_mapd/obj_mapd.obj": DONE,
    "obj_mtl_lost/obj_bom/obj_bom.obj": DONE,
    "obj_mtl_lost/obj_mtl_abs/obj_mtl_abs.obj": DONE,
    "obj_mtl_lost/obj_mtl_missing/obj_mtl_missing.obj": "normalize: .*gone.mtl",
    "obj_mtl_lost/obj_samename/obj_samename.obj": DONE,
    "obj_side_files/obj_absolute/obj_absolute.obj": DONE,
    "obj_side_files/obj_backslash/obj_backslash.obj": DONE,
    "obj_side_files/obj_dash_name/obj_dash_name.obj": DONE,
    "obj_side_files/obj_parent_backslash/obj_parent_backslash.obj": DONE,
    "obj_side_files/obj_quotes/obj_quotes.obj": DONE,
    "obj_vertex_colours/cube_with_vertexcolors.obj": DONE,
    "obj_vertex_colours/obj_vcol.obj": DONE,
    "other/obj_lfs/obj_lfs.obj": ".*LFS pointer",
    "other/pops_up_from_zero.glb": "render: done|normalize: .*(animat|scale)",
    "other/wind_flipped_normals_ok.glb": "normalize: .*wound against its normals",
    "tables/utf16/a.glb": DONE,
    "zup/zup_tower.obj": DONE,
}
"""What becomes of each file, after the stage that decides: done, or a pattern of the reason."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared files with what cannot be shared: links and a name that is not UTF-8."""
    folder = tmp_path_factory.mktemp("faults") / "faults"
    shutil.copytree(FAULTS, folder, copy_function=shutil.copyfile)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    linked = folder / "names" / "linked"
    (linked / "gone.glb").rename(linked / "as_text.glb")
    (linked / "gone.glb").symlink_to("nowhere.glb")
    (linked / "more").symlink_to("../store")
    (linked / "loop").symlink_to("..")
    (folder / os.fsdecode(b"names/names/st\xfchle.glb")).write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder through the data stages with the project's parameters at the smallest size."""
    out = tmp_path_factory.mktemp("made")
    params = small(load_params(ROOT / "params.yaml"), folder)
    make_catalog(params.catalog, 0, out / "catalog", make_tools(out, work=out / "work/catalog"))
    select_objects(out / "catalog", params.select, 0, out / "select", make_tools(out))
    tools = make_tools(out, work=out / "work/download")
    download_objects(out / "select", params.catalog, params.download, 0, out / "download", tools)
    normalize_objects(out / "download", params.normalize, out / "normalize", make_tools(out))
    render_objects(out / "download", out / "normalize", params.render, 0, out / "render", make_tools(out))
    return out


def small(params: Params, folder: Path) -> Params:
    quality = Quality(samples=4, noise_threshold=0, denoise="none", max_bounces=1)
    views = {"azimuths": 2, "elevations_deg": (0.0, 30.0), "conditions": 1}
    catalog = params.catalog.model_copy(update={"source": "folder", "folder": str(folder)})
    render = params.render.model_copy(update={"resolution": 16, "quality": quality, **views})
    return params.model_copy(update={"catalog": catalog, "render": render})


@pytest.fixture(scope="module")
def outcomes(made: Path) -> dict[str, str]:
    """The last row of each uid, after its stage."""
    last: dict[str, str] = {}
    for stage in ("catalog", "select", "download", "normalize", "render"):
        last |= {row.uid: f"{stage}: {said(row)}" for row in read_ledger(made / stage)}
    return last


def said(row: Outcome) -> str:
    return (
        "done" if isinstance(row, Done) else str(getattr(row, "reason", None) or f"failed, {getattr(row, 'error', '')}")
    )


@pytest.fixture(scope="module")
def uids() -> dict[str, str]:
    """The uid of each file: those of the objects are given before those of the faults."""
    objects = name_objects(sorted(path for path, becomes in EXPECTED.items() if not becomes.startswith("catalog: ")))
    return objects | name_objects(sorted(EXPECTED.keys() - objects.keys()), taken=objects.values())


def cases() -> Iterator[ParameterSet]:
    for path in EXPECTED:
        yield pytest.param(path, id=path.encode("utf-8", "surrogateescape").decode("latin-1"))


@pytest.mark.parametrize("path", cases())
def test_faulty_folder_file_ends_as_it_should(path: str, uids: dict[str, str], outcomes: dict[str, str]) -> None:
    assert re.match(EXPECTED[path], outcomes[uids[path]], re.DOTALL)


def test_faulty_folder_ledgers_have_every_object_and_no_other(uids: dict[str, str], outcomes: dict[str, str]) -> None:
    assert set(outcomes) == set(uids.values())
    assert not [outcome for outcome in outcomes.values() if ": failed, " in outcome]
