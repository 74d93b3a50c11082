"""From a peer's folder to its row: ground truth in every layout gets the scores that it must get."""

import json
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.__main__ import main
from flows.params import load_params
from models.losses.metrics import MAX_PSNR
from render.cameras import Camera
from render.passes import View
from tasks.artifacts.cases import MESHES, VIEWS, Case, TestSet, sampled_cases
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.views import ViewSet, seal_views, write_views
from tasks.commands.score import import_prediction, plan_prediction
from tasks.commands.score_options import ScoreOptions
from tasks.commands.score_table import published_table, score_case, score_tables
from tasks.evaluation.predictions import Scoring
from tasks.outcome import Done
from tasks.peers.store import current_peers
from tests.tasks.made_run import PARAMS
from tests.tasks.peers import meshes, packing
from tests.tasks.peers.balls import OBJECTS, SIDE, on_background, photo, upright
from tests.tasks.toolbox import make_tools

Bounds = dict[str, tuple[float, float]]
RING = [Camera(f"r{number:02d}", 22.5 * number, 30.0, 1.5, 49.13) for number in range(16)]
LIKE_TRUTH: Bounds = {"chamfer": (0, 0.02), "volume_iou": (0.9, 1)}
"""As exact as 2000 points on balls of 642 vertices are."""
RENDERED: Bounds = LIKE_TRUTH | {"psnr": (27, 60), "mask_iou": (0.95, 1)}
"""Antialiased by other rays."""
OWN: Bounds = {"mask_iou_own": (0.84, 1)}
WHITE: Bounds = {"psnr": (55, MAX_PSNR), "ssim": (0.999, 1), "mask_iou": (0.85, 1)}
"""8 bits on white, masks estimated."""
SAME: Bounds = {"psnr": (MAX_PSNR, MAX_PSNR), "ssim": (0.9999, 1), "mask_iou": (1, 1)}


FOUR_GIVEN = ["NeuS", "LEAP", "MVDiffusion++", "PF-LRM", "FreeSplatter, as PF-LRM", "FreeSplatter", "LVSM"]


@dataclass(frozen=True)
class Row:
    """A layout, how the test packs it, and between which bounds each mean must lie; other metrics must be absent."""

    layout: str
    pack: packing.Pack
    expected: Bounds
    options: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("syncdreamer", packing.pack_syncdreamer, WHITE, {"sample": 1}),
    Row("syncdreamer", packing.pack_syncdreamer, {"psnr": (5, 25), "ssim": (0, 0.95), "mask_iou": (0, 0.9)}),
    Row("zero123", packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=False), WHITE),
    Row("leap", packing.pack_numbered("{uid}/r{number:02d}.png", with_alpha=True), SAME),
    Row("eschernet", packing.pack_eschernet, WHITE),
    Row("zero123plus", packing.pack_zero123plus((20, -10), 127, 30.0), OWN),
    Row("wonder3d", packing.pack_wonder3d, OWN),
    Row("neus", meshes.write_plys("{uid}-neus/mesh.ply", meshes.as_it_is), RENDERED),
    Row("neus", meshes.write_plys("{uid}.ply", meshes.as_it_is, has_colours=False), LIKE_TRUTH, {"name": "bare"}),
    Row("openlrm", meshes.write_plys("{uid}.ply", meshes.lrm), RENDERED),
    Row("instantmesh", meshes.write_objs(meshes.large), RENDERED),
    Row("trellis", meshes.write_glbs(meshes.gltf), RENDERED),
    Row("mesh", meshes.write_plys("{uid}.ply", meshes.large), {"psnr": (5, 22), "chamfer": (0.05, 1)}),
    Row("mesh", meshes.write_glbs(meshes.gltf), RENDERED, {"up": "y", "front": "+Z", "scale": "longest"}),
)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed test set in the form of SyncDreamer's files."""
    out = tmp_path_factory.mktemp("set") / "gso_eval"
    for uid, balls in OBJECTS.items():
        write_views(out.parent / f"{uid}.tar", RING, [View(image) for image in packing.ring(uid)], {})
        (out / "meshes").mkdir(parents=True, exist_ok=True)
        balls.mesh().export(out / "meshes" / f"{uid}.ply")
    seal_views({uid: partial(read_item, out.parent / f"{uid}.tar") for uid in OBJECTS}, lay_out(OBJECTS, 10), out)
    outcomes = [Done(uid, {"group": "gso"}) for uid in OBJECTS]
    seal(out, Kind.VIEWS, config=load_params(PARAMS).render, inputs={}, outcomes=outcomes)
    return out


def score(truth: Path, folder: Path, row: Row, said: list[str] | None = None) -> dict[str, float]:
    """Import and score as the command does; the mean of every metric."""
    plan = plan_prediction(ScoreOptions(folder / "in", row.layout, **row.options))
    import_prediction(plan, truth, folder / "peers", (said if said is not None else []).append, is_partial=False)
    config = load_params(PARAMS).evaluate.model_copy(
        update={"points": 2000, "iou_resolution": 24, "consistency_resolution": None}
    )
    tools = make_tools(folder)
    scores = score_case(
        folder / "peers" / plan.case.method,
        plan.case,
        Scoring({"gso_eval": truth}, config, 0),
        tools.pool,
        tools.progress,
    )
    assert [one.uid for one in scores] == sorted(OBJECTS)
    (table,) = score_tables("row", scores)
    assert table.row_count >= len(row.expected)
    return {name: float(np.mean([one.metrics[name] for one in scores])) for name in scores[0].metrics}


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join([row.layout, *map(str, row.options.values())]))
def test_true_views_in_every_layout_get_the_scores_that_they_must(row: Row, truth: Path, tmp_path: Path) -> None:
    row.pack(tmp_path / "in")
    means = score(truth, tmp_path, row)
    for name, (low, high) in row.expected.items():
        assert low <= means[name] <= high, name
    for name in {"psnr", "chamfer", "mask_iou_own"} - row.expected.keys():
        assert name not in means, name


@pytest.mark.slow(seconds=1)
def test_larger_views_are_brought_down_by_area(truth: Path, tmp_path: Path) -> None:
    packing.pack_transforms(side=2 * SIDE)(tmp_path / "in")
    said: list[str] = []
    means = score(truth, tmp_path, Row("seva", packing.pack_transforms(), {}), said)
    errors = []
    for uid, balls in OBJECTS.items():
        for number in range(0, 16, 2):  # the paper's 8 views
            large = on_background(photo(balls, upright(22.5 * number, 30), side=2 * SIDE), 255).astype(float)
            small = large.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))
            true = packing.ring(uid)[number].astype(float)
            alpha = true[..., 3:] / 255
            error = (small - true[..., :3] * alpha - 255 * (1 - alpha)) / 255
            errors.append(-10 * np.log10((error**2).mean()))
    assert means["psnr"] == pytest.approx(np.mean(errors), abs=0.3)
    assert said == [f"scaled down from {2 * SIDE} to {SIDE} pixels (2 of 2 objects)"]


def test_smaller_views_and_other_fields_of_view_are_brought_to_the_truth_and_it_is_said(
    truth: Path, tmp_path: Path
) -> None:
    packing.pack_transforms(side=24)(tmp_path)
    path = tmp_path / "pile" / "transforms.json"
    table = json.loads(path.read_text())
    for frame in table["frames"]:  # the same pictures, as if by a camera that sees less
        frame["fl_x"] *= 2
    path.write_text(json.dumps(table))
    said: list[str] = []
    plan = plan_prediction(ScoreOptions(tmp_path, "nerf"))
    import_prediction(plan, truth, tmp_path / "peers", said.append, is_partial=False)
    assert "scaled up from 24 to 32 pixels (2 of 2 objects)" in said
    assert "field of view changed from 25.75 to 49.13 deg (1 of 2 objects)" in said
    views = ViewSet.open(tmp_path / "peers" / "nerf" / VIEWS / "nerf-gso-1")
    areas = {uid: (views.image(uid, "r03")[..., 3] > 127).sum() for uid in OBJECTS}
    true = {uid: (packing.ring(uid)[3][..., 3] > 127).sum() for uid in OBJECTS}
    assert areas["pile"] == pytest.approx(true["pile"] / 4, rel=0.3)
    assert areas["pair"] == pytest.approx(true["pair"], rel=0.15)


def test_cases_of_one_row_stand_side_by_side_and_a_failed_import_changes_nothing(truth: Path, tmp_path: Path) -> None:
    packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=True)(tmp_path / "in")
    meshes.write_plys("{uid}.ply", meshes.as_it_is)(tmp_path / "in")
    for conditions in (1, 4, 1):
        options: dict[str, Any] = {"name": "mine", "conditions": conditions, "meshes": tmp_path / "in"}
        plan = plan_prediction(ScoreOptions(tmp_path / "in", "leap", **options))
        import_prediction(plan, truth, tmp_path / "peers", print, is_partial=False)
    folder = tmp_path / "peers" / "mine"
    assert [case.name for case in sampled_cases(folder / VIEWS)] == ["mine-gso-4", "mine-gso-1"]
    assert open_manifest(folder / MESHES, Kind.MESHES).counts["done"] == 4
    assert ViewSet.open(folder / VIEWS / "mine-gso-4").names("pile") == [camera.name for camera in RING]
    notes: list[str] = []
    assert current_peers(tmp_path / "peers", {"gso_eval": open_manifest(truth, Kind.VIEWS).fingerprint}, print) == [
        folder
    ]
    assert current_peers(tmp_path / "peers", {"gso_eval": "another"}, notes.append) == []
    assert "mine-gso-4 was made for another test set" in notes[0]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (tmp_path / "in" / "pair" / "007.png").unlink()
    with pytest.raises(ValueError, match=r"pair is incomplete: .* has no pair/r07\.png and no pair/007\.png"):
        import_prediction(plan, truth, tmp_path / "peers", print, is_partial=False)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    said: list[str] = []
    assert import_prediction(plan, truth, tmp_path / "peers", said.append, is_partial=True) == ["pile"]
    assert said[0].startswith("left out: pair is incomplete")


def test_peer_whose_import_was_killed_between_two_renames_is_put_back(truth: Path, tmp_path: Path) -> None:
    packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=True)(tmp_path / "in")
    peers, folder = tmp_path / "peers", tmp_path / "peers" / "leap"
    truths: dict[TestSet, str] = {"gso_eval": open_manifest(truth, Kind.VIEWS).fingerprint}

    def import_case(conditions: int) -> None:
        plan = plan_prediction(ScoreOptions(tmp_path / "in", "leap", conditions=conditions))
        import_prediction(plan, truth, peers, print, is_partial=False)

    import_case(1)
    shutil.copytree(folder, peers / ".leap.part")
    folder.rename(peers / ".leap.old")
    assert current_peers(peers, truths, print) == [folder]
    folder.rename(peers / ".leap.old")
    import_case(4)
    assert [case.name for case in sampled_cases(folder / VIEWS)] == ["leap-gso-1", "leap-gso-4"]
    assert [path.name for path in folder.parent.iterdir()] == ["leap"]


def test_posed_views_that_lack_some_of_the_protocol_are_refused(truth: Path, tmp_path: Path) -> None:
    packing.pack_transforms(numbers=range(0, 12, 2))(tmp_path)
    plan = plan_prediction(ScoreOptions(tmp_path, "nerf"))
    with pytest.raises(ValueError, match=r"pair is incomplete: 2 of the 8 views that gso scores .* first of them r12"):
        import_prediction(plan, truth, tmp_path / "peers", print, is_partial=False)
    with pytest.raises(ValueError, match="has nothing that can be compared"):
        import_prediction(plan, truth, tmp_path / "peers", print, is_partial=True)
    assert not (tmp_path / "peers").exists()


def test_score_verb_without_the_weights_that_it_needs_imports_nothing(
    truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packing.pack_numbered("{uid}/{number:03d}.png", with_alpha=True)(tmp_path / "in")
    params = PARAMS.read_text()
    (tmp_path / "params.yaml").write_text(params.replace("lpips_weights: null", "lpips_weights: ./gone.pth"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gso_eval").symlink_to(truth)
    monkeypatch.chdir(tmp_path)
    assert main(["score", "in", "--layout", "leap"]) == 2
    assert "./gone.pth does not exist" in capsys.readouterr().err
    assert not (tmp_path / "data" / "peers").exists()


def test_published_rows_stand_beside_with_their_source() -> None:
    shown = published_table(Case("x", "sparse", 4))
    assert list(shown.columns[0].cells) == FOUR_GIVEN
    assert list(shown.columns[3].cells)[2] == "23.44"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layout": "dreamer"}, "layout 'dreamer' is none of syncdreamer, zero123"),
        ({"layout": "leap", "set": "gso30"}, "set 'gso30' is none of sparse, ring, gso"),
        ({"layout": "leap", "name": "stage3"}, "is one of our own models"),
        ({"layout": "leap", "name": "distilled"}, "is one of our own models"),
        ({"layout": "leap", "name": "../x"}, "must consist of letters, digits"),
        ({"layout": "mesh", "up": "W"}, "up axis 'W' is none of"),
        ({"layout": "mesh", "front": "-Z"}, "up is Z and front -Z; they must be two different axes"),
        ({"layout": "mesh", "scale": "big"}, "scale 'big' is none of"),
        ({"layout": "leap", "folder": Path("nowhere")}, "nowhere is not a folder"),
    ],
)
def test_mistaken_option_is_a_sentence(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan_prediction(ScoreOptions(**{"folder": tmp_path, **options}))
