"""Views that should not be trained on are found: empty, dark, copied, leaked, incomplete."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from flows.params import load_params
from render.cameras import Camera
from render.config import RenderConfig
from render.images import MARGIN_PX, decode_png
from render.passes import View
from render.shape import Shape, describe_shape
from render.views import target_cameras
from tasks.artifacts.atomic import read_json
from tasks.artifacts.content import hash_files
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.shapes import SHAPES, Shapes
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.views import ViewSet, seal_views, write_views
from tasks.config import ValidateConfig
from tasks.outcome import Done
from tasks.sources.object_list import load_object_list
from tasks.validate_views import SHEET_PX, lookalike_sheet, validate_views
from tasks.validation.appearance import looked_at
from tasks.validation.folder import APPEARANCE, LEAVE_OUT, LOOKALIKES, PASSED
from tasks.validation.lookalikes import find_lookalikes
from tests.tasks.made_run import PARAMS
from tests.tasks.toolbox import make_tools, notes_of

SIDE = 16
PARAMS_READ = load_params(PARAMS)
CONFIG = ValidateConfig.model_validate(
    PARAMS_READ.validate_views.model_dump()
    | {"shape_leaks": PARAMS_READ.validate_views.shape_leaks.model_dump() | {"max_share": 0.0}}
)
RENDER = PARAMS_READ.render.model_copy(update={"azimuths": 4, "elevations_deg": (0.0, 30.0), "conditions": 1})


def picture_of(uid: str, number: int, covered: int = 8, brightness: float = 0.5, noise: float = 0.0) -> np.ndarray:
    """A square of the object's own colours, which differ from view to view."""
    rng = np.random.default_rng([*uid.encode(), number])
    image = np.zeros((SIDE, SIDE, 4), np.uint8)
    low = (SIDE - covered) // 2
    square = rng.uniform(0, 2 * brightness, (covered, covered, 3)) + rng.uniform(-noise, noise, (covered, covered, 3))
    image[low : low + covered, low : low + covered, :3] = (255 * square.clip(0, 1)).round()
    image[low : low + covered, low : low + covered, 3] = 255
    return image


def seal_objects(folder: Path, objects: Mapping[str, Mapping[str, Any]], config: RenderConfig = RENDER) -> Path:
    """A sealed view set: per object `split`, `like` (the object that it is a copy of), `views` and picture options."""
    cameras = target_cameras(config)
    for uid, options in objects.items():
        like, count = options.get("like", uid), options.get("views", len(cameras))
        drawn = {
            name: value for name, value in options.items() if name not in ("split", "like", "views", "shaped_like")
        }
        views = [View(picture_of(like, number, **drawn)) for number in range(count)]
        write_views(folder / "items" / f"{uid}.tar", cameras[:count], views, {})
    out = folder / "views"
    items = {uid: (lambda path=folder / "items" / f"{uid}.tar": read_item(path)) for uid in objects}
    seal_views(items, lay_out(items, 4), out)
    outcomes = [Done(uid, {"split": options.get("split", "train")}) for uid, options in objects.items()]
    seal(out, Kind.VIEWS, config=config, inputs={}, outcomes=outcomes)
    return out


def plain_objects(count: int = 10) -> dict[str, dict[str, Any]]:
    return {f"object{number}": {"split": "val" if number == 0 else "train"} for number in range(count)}


def seal_shapes(folder: Path, objects: Mapping[str, Mapping[str, Any]]) -> Path:
    """Placements with a shape of its own for each object, or that of the object that `shaped_like` names."""
    shapes = {uid: blob_of(options.get("shaped_like", uid)) for uid, options in objects.items()}
    out = folder / "normalized"
    Shapes.of({uid: shape for uid, shape in shapes.items() if shape is not None}).save(out / SHAPES)
    seal(out, Kind.PLACEMENTS, config=PARAMS_READ.normalize, inputs={})
    return out


def blob_of(name: str | None) -> Shape | None:
    """The shape of a closed surface that nothing but its name decides."""
    if name is None:
        return None
    mesh = blob_mesh(name)
    return describe_shape([(mesh.vertices, mesh.faces)])


@lru_cache
def blob_mesh(name: str) -> trimesh.Trimesh:
    rng = np.random.default_rng([*name.encode()])
    ball = trimesh.creation.icosphere(subdivisions=2)
    rays, scales = rng.normal(size=(3, 3)), rng.uniform(0.4, 1.0, 3)
    bumps = np.exp(-((ball.vertices[:, None] - rays / np.linalg.norm(rays, axis=1)[:, None]) ** 2).sum(-1)).sum(1)
    return trimesh.Trimesh(ball.vertices * bumps[:, None] * scales, ball.faces, process=False)


def validated(folder: Path, objects: Mapping[str, Mapping[str, Any]], **changes: Any) -> dict[str, dict[str, Any]]:
    """The expectations by name, after the stage has run."""
    config = ValidateConfig.model_validate(CONFIG.model_dump() | changes)
    validate_views(
        seal_objects(folder, objects), seal_shapes(folder, objects), config, folder / "out", make_tools(folder)
    )
    facts = open_manifest(folder / "out", Kind.VALIDATION).facts
    return {row["name"]: row for row in facts["expectations"]}


def test_sound_views_pass_every_expectation(tmp_path: Path) -> None:
    found = validated(tmp_path, plain_objects())
    assert {name: row["failed"] for name, row in found.items()} == dict.fromkeys(
        ("views", "coverage", "brightness", "duplicates", "leaks", "shape_leaks", "test_leaks"), 0
    )
    assert all(row["passed"] for row in found.values())
    assert found["coverage"]["objects"] == 10
    assert found["leaks"]["objects"] == 1
    assert not (tmp_path / "out" / LOOKALIKES).exists()


@pytest.mark.parametrize(
    ("name", "options", "example"),
    [
        ("coverage", {"covered": 2}, "bad with 0.016"),
        ("coverage", {"covered": 16}, "bad with 1.000"),
        ("brightness", {"brightness": 0.01}, "bad with 0.01"),
        ("views", {"views": 7}, "bad with 7"),
        ("duplicates", {"like": "object1"}, "bad like object1 (0.0000)"),
        ("leaks", {"like": "object1", "split": "val"}, "bad like object1 (0.0000)"),
        ("shape_leaks", {"shaped_like": "object1", "split": "val"}, "bad like object1 (0.0000)"),
    ],
)
def test_object_that_is_not_as_expected_is_named(
    tmp_path: Path, name: str, options: dict[str, Any], example: str
) -> None:
    found = validated(tmp_path, plain_objects() | {"bad": options}, views={"max_share": 1.0, "on_failure": "warn"})
    assert found[name]["failed"] == (2 if name == "duplicates" else 1)
    assert any(text.startswith(example) for text in found[name]["examples"])


def test_stopping_expectation_names_share_bound_and_remedy_and_leaves_no_folder(tmp_path: Path) -> None:
    objects = plain_objects() | {"bad": {"covered": 2}}
    coverage = CONFIG.coverage.model_dump() | {"max_share": 0.05, "on_failure": "stop"}
    with pytest.raises(
        ValueError,
        match=r"coverage from 0.02 to 0.75 does not hold for 1 of 11 objects \(9.1%; validate_views.coverage.max_share "
        r"is 5.0%\), such as bad with 0.016. Leave these objects out, widen validate_views.coverage, or set",
    ):
        validated(tmp_path, objects, coverage=coverage)
    assert not (tmp_path / "out").exists()


def test_copies_of_validation_objects_are_a_list_that_select_leaves_out(tmp_path: Path) -> None:
    copies: dict[str, dict[str, Any]] = {
        "second": {"shaped_like": "object0"},
        "first": {"shaped_like": "object0"},
        "flat": {"shaped_like": None},
    }
    found = validated(tmp_path, plain_objects() | copies)["shape_leaks"]
    assert (found["failed"], found["objects"]) == (1, 1), "one validation object, however many copies it has"
    listed = load_object_list(str(tmp_path / "out" / LEAVE_OUT), make_tools(tmp_path))
    assert listed.uids.to_pylist() == ["first", "second"]


def test_copies_within_the_share_that_is_allowed_are_counted_and_not_listed(tmp_path: Path) -> None:
    objects = plain_objects() | {"copy": {"shaped_like": "object0"}}
    found = validated(tmp_path, objects, shape_leaks=CONFIG.shape_leaks.model_dump() | {"max_share": 1.0})
    assert (found["shape_leaks"]["failed"], found["shape_leaks"]["passed"]) == (1, True)
    assert not (tmp_path / "out" / LEAVE_OUT).exists()


def test_stop_because_of_copies_names_the_list_and_leaves_no_folder(tmp_path: Path) -> None:
    objects = plain_objects() | {"copy": {"shaped_like": "object0"}}
    bound = CONFIG.shape_leaks.model_dump() | {"on_failure": "stop"}
    with pytest.raises(ValueError, match=r"shape_leaks: .* 1 of 1 objects .*\((\S+) lists those") as caught:
        validated(tmp_path, objects, shape_leaks=bound)
    named = re.search(r"\((\S+\.csv) lists", str(caught.value))
    assert named is not None
    assert Path(named[1]).read_text().startswith("uid,like,distance\ncopy,object0,0.0000\n")
    assert not (tmp_path / "out").exists()


def test_placements_of_an_earlier_version_say_what_to_run(tmp_path: Path) -> None:
    views, normalized = seal_objects(tmp_path, plain_objects(3)), seal_shapes(tmp_path, plain_objects(3))
    (normalized / SHAPES).unlink()
    with pytest.raises(ValueError, match=r"shapes\.npz does not exist; .* run `dvc repro normalize`"):
        validate_views(views, normalized, CONFIG, tmp_path / "out", make_tools(tmp_path))


@pytest.mark.blender
def test_turned_copies_of_test_objects_are_found_in_training(tmp_path: Path) -> None:
    scans, gso = tmp_path / "scans", tmp_path / "gso"
    for folder, name in ((gso / "mug", "model"), (gso / "no_mesh", "000"), (scans, "vase"), (scans, "broken")):
        folder.mkdir(parents=True, exist_ok=True)
        if name in ("model", "vase"):
            mesh = blob_mesh("object1" if name == "model" else "object2")
            turned = mesh.copy().apply_transform(trimesh.transformations.euler_matrix(0.3, 1.2, 2.0)).apply_scale(7)
            turned.export(folder / f"{name}.obj")
    (scans / "broken.glb").write_bytes(b"glTF")
    render_test = PARAMS_READ.render_test.model_copy(update={"source": "folder", "folder": str(scans)})
    gso_eval = PARAMS_READ.gso_eval.model_copy(update={"folder": str(gso)})
    views, shapes, tools = (
        seal_objects(tmp_path, plain_objects()),
        seal_shapes(tmp_path, plain_objects()),
        make_tools(tmp_path),
    )
    validate_views(views, shapes, CONFIG, tmp_path / "out", tools, render_test=render_test, gso_eval=gso_eval)
    facts = open_manifest(tmp_path / "out", Kind.VALIDATION).facts
    found = next(row for row in facts["expectations"] if row["name"] == "test_leaks")
    assert (found["failed"], found["objects"]) == (2, 2)
    assert sorted(text.split(" (")[0] for text in found["examples"]) == ["mug like object1", "vase like object2"]
    assert set(facts["tested_without_shape"]) == {"broken", "no_mesh"}
    assert any(
        "2 objects that are tested on have no shape to compare, such as broken" in text for text in notes_of(tools)
    )


def test_warning_goes_on_and_says_so(tmp_path: Path) -> None:
    tools = make_tools(tmp_path)
    objects = plain_objects(4) | {"bad": {"covered": 2}}
    views, shapes = seal_objects(tmp_path, objects), seal_shapes(tmp_path, objects)
    validate_views(views, shapes, CONFIG, tmp_path / "out", tools)
    assert any(
        note.startswith("warning: coverage: coverage from 0.02 to 0.75 does not hold for 1 of 5 objects (20.0%")
        for note in notes_of(tools)
    )
    assert read_json(tmp_path / "out" / PASSED) == {"passed": True}


def test_gate_has_the_same_bytes_whatever_the_bounds_and_objects(tmp_path: Path) -> None:
    validated(tmp_path / "one", plain_objects(3))
    validated(tmp_path / "other", plain_objects(5), coverage=CONFIG.coverage.model_dump() | {"low": 0.3})
    assert hash_files(tmp_path / "one" / "out" / PASSED) == hash_files(tmp_path / "other" / "out" / PASSED)


def test_second_run_measures_nothing_again_and_gives_equal_bytes(tmp_path: Path) -> None:
    views, shapes = seal_objects(tmp_path, plain_objects()), seal_shapes(tmp_path, plain_objects())
    tools = make_tools(tmp_path)
    validate_views(views, shapes, CONFIG, tmp_path / "first", tools)
    validate_views(views, shapes, CONFIG, tmp_path / "second", tools)
    assert "validate-views: 3 of 3 were finished before, 0 to go" in notes_of(tools)
    assert hash_files(tmp_path / "first") == hash_files(tmp_path / "second")
    assert (tmp_path / "first" / APPEARANCE).exists()


def test_lookalikes_stand_side_by_side_on_a_sheet(tmp_path: Path) -> None:
    validated(tmp_path, plain_objects() | {"copy": {"like": "object3", "noise": 0.004}})
    assert (tmp_path / "out" / LOOKALIKES).exists()


def test_pairs_of_one_shape_stand_on_the_sheet_below_those_that_look_alike(tmp_path: Path) -> None:
    copies: dict[str, dict[str, Any]] = {
        "seen": {"like": "object3", "noise": 0.004},
        "formed": {"shaped_like": "object0"},
    }
    validated(tmp_path, plain_objects() | copies)
    sheet = decode_png((tmp_path / "out" / LOOKALIKES).read_bytes())
    views = ViewSet.open(tmp_path / "views")
    pairs = [("object3", "seen"), ("object0", "formed")]
    assert np.array_equal(sheet, decode_png(lookalike_sheet(views, pairs, CONFIG.views_each)))
    assert sheet.shape[0] == 2 * (SHEET_PX + MARGIN_PX) + MARGIN_PX


def test_views_that_are_looked_at_differ_in_azimuth_and_elevation() -> None:
    cameras: list[Camera] = target_cameras(PARAMS_READ.render)
    chosen = set(looked_at([camera.name for camera in cameras], 4))
    poses = {(camera.azimuth_deg % 360, camera.elevation_deg) for camera in cameras if camera.name in chosen}
    assert len({azimuth for azimuth, _ in poses}) == 4
    assert len({elevation for _, elevation in poses}) == 4


def test_every_lookalike_is_found_that_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (30, 256))
    near = base[rng.integers(0, 30, 120)] + rng.normal(0, rng.uniform(0, 20, (120, 1)), (120, 256))
    thumbnails = np.concatenate([base, near.clip(0, 255)]).astype(np.uint8)
    values = thumbnails.astype(np.float64)
    lengths = np.linalg.norm(values, axis=1)
    apart = np.linalg.norm(values[:, None] - values[None], axis=2) / np.maximum(lengths[:, None], lengths[None])
    np.fill_diagonal(apart, np.inf)
    found = find_lookalikes(thumbnails, 0.05)
    assert 0 < len(found.index) < len(thumbnails)
    np.testing.assert_array_equal(found.index, np.flatnonzero(apart.min(axis=1) <= 0.05))
    np.testing.assert_allclose(found.distance, apart.min(axis=1)[found.index], atol=1e-6)


def test_set_of_equal_empty_thumbnails_is_all_alike() -> None:
    found = find_lookalikes(np.zeros((5, 1024), np.uint8), 0.05)
    assert found.index.tolist() == [0, 1, 2, 3, 4]


def test_only_one_object_has_no_lookalike(tmp_path: Path) -> None:
    found = validated(tmp_path, {"alone": {}})
    assert found["duplicates"]["failed"] == 0
    assert len(ViewSet.open(tmp_path / "views").uids) == 1
