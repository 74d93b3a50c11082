"""Scores somebody else's predictions like our own: checks a folder, imports it into data/peers and prints its row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from rich.table import Table

from render.axes import parse_up_axis
from tasks.artifacts.atomic import write_json
from tasks.artifacts.cases import DISTILLED, Case, Protocol
from tasks.artifacts.test_set import true_mesh_path
from tasks.artifacts.views import ViewSet
from tasks.commands.score_options import ScoreOptions
from tasks.evaluation.mesh_metrics import read_mesh
from tasks.evaluation.view_scores import view_sets
from tasks.peers.frames import Frame, Scale
from tasks.peers.import_object import Imported, Truth, import_mesh, import_views
from tasks.peers.layout import Layout, Request
from tasks.peers.layouts import layout_named
from tasks.peers.panorama import find_scenes, overlap_psnr
from tasks.peers.store import PANORAMA, PeerConfig, store_case
from tasks.report.words import counted

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prediction:
    """What was asked for, checked: the case, and the layouts of its views and of its meshes."""

    case: Case
    folder: Path
    views: Layout | None
    meshes_folder: Path | None
    meshes: Layout | None
    sample: int

    @property
    def config(self) -> PeerConfig:
        """What the imported case is made with."""
        main = self.views or self.meshes
        assert main is not None, "a prediction has views or meshes"
        mesh_layout = self.meshes.name if self.meshes and self.views else None
        return PeerConfig(layout=main.name, mesh_layout=mesh_layout, sample=self.sample)


def plan_prediction(options: ScoreOptions) -> Prediction:
    """Check the options and return what they ask for.

    Raises ValueError for a layout, set, axis, scale or name that there is none of, or a folder that is not there.
    """
    layout = layout_named(options.layout)
    if options.set not in get_args(Protocol):
        raise ValueError(f"set {options.set!r} is none of {', '.join(get_args(Protocol))}")
    for folder in filter(None, (options.folder, options.meshes)):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder")
    protocol: Protocol = options.set  # type: ignore[assignment]
    case = Case(row_name(options), protocol, options.conditions)
    if layout.frame is not None:
        if options.meshes is not None:
            raise ValueError(f"layout {layout.name} has meshes itself; leave --meshes out")
        return Prediction(case, options.folder, None, options.folder, _in_frame(layout, options), options.sample)
    meshes = _in_frame(layout_named(options.mesh_layout), options) if options.meshes is not None else None
    return Prediction(case, options.folder, layout, options.meshes, meshes, options.sample)


def row_name(options: ScoreOptions) -> str:
    """Return the name of the row, which also names its folder.

    Raises ValueError for one that cannot be a folder's name or is that of one of our models.
    """
    return checked_name(options.name or options.layout)


def checked_name(name: str) -> str:
    """Return the name of a row, which also names its folder.

    Raises ValueError for one that cannot be a folder's name or is that of one of this checkout's models.
    """
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
        raise ValueError(f"name {name!r} must consist of letters, digits, '-', '_' and '.'")
    if name.startswith("stage") or name == DISTILLED:
        raise ValueError(f"name {name!r} is one of our own models; choose another with --name")
    return name


def _in_frame(layout: Layout, options: ScoreOptions) -> Layout:
    if layout.frame is None:
        raise ValueError(f"layout {layout.name} has views, not meshes; choose a layout of meshes, such as mesh")
    frame: Frame = layout.frame
    if options.scale is not None and options.scale not in get_args(Scale):
        raise ValueError(f"scale {options.scale!r} is none of {', '.join(get_args(Scale))}")
    scale: Scale = options.scale or frame.scale  # type: ignore[assignment]
    up = parse_up_axis(options.up) if options.up else frame.up
    front = parse_up_axis(options.front) if options.front else frame.front
    return replace(layout, frame=replace(frame, up=up, front=front, scale=scale))


def import_prediction(plan: Prediction, truth_folder: Path, peers: Path, say: Say, *, is_partial: bool) -> list[str]:
    """Import all objects of the test set into `peers/<name>` and return their uids.

    Args:
        plan: What was asked for.
        truth_folder: The sealed test set of the case.
        peers: The folder of all peers.
        say: Is told what was done to the predictions, and what is not compared.
        is_partial: Whether objects that are incomplete are left out instead of refused.

    Raises ValueError, which names the object and file, when one is missing or mis-shaped; nothing is written then.
    """
    truth = ViewSet.open(truth_folder)
    objects: dict[str, Imported] = {}
    for uid in truth.uids:
        try:
            objects[uid] = _import_object(plan, truth, truth_folder, uid)
        except ValueError as fault:
            if not is_partial:
                raise
            say(f"left out: {fault}")
    if not any(one.cameras or one.mesh or one.own for one in objects.values()):
        raise ValueError(
            f"{plan.folder} has nothing that can be compared with {truth_folder} by layout {plan.config.layout}"
        )
    group_of = truth.facts("group")
    groups = {uid: str(group_of[uid]) for uid in objects}
    store_case(peers / plan.case.method, plan.case, objects, groups, plan.config, truth.manifest.fingerprint)
    for note, count in _counted(objects).items():
        say(f"{note} ({count} of {counted(len(objects), 'object')})")
    return list(objects)


def _import_object(plan: Prediction, truth: ViewSet, truth_folder: Path, uid: str) -> Imported:
    cameras = truth.cameras(uid)
    given = next(camera for camera in cameras if camera.name == plan.case.copied)
    scored = [camera for camera in cameras if camera.name.startswith(plan.case.scored)]
    path = true_mesh_path(truth_folder, uid)
    known = Truth(len(truth.image(uid, scored[0].name)), read_mesh(path) if path.exists() else None)
    request = Request(plan.folder, uid, given, scored, known.radius, plan.sample)
    result = Imported() if plan.views is None else import_views(request, plan.views, known)
    if plan.meshes is not None and plan.meshes_folder is not None:
        shape = replace(request, folder=plan.meshes_folder)
        other = import_mesh(shape, plan.meshes, known, draws_views=plan.views is None)
        result = Imported(
            result.cameras or other.cameras,
            result.images or other.images,
            other.mesh,
            result.own,
            result.notes + other.notes,
        )
    _require_protocol(plan.case, view_sets(plan.case, scored)[""], result, uid)
    return result


def _require_protocol(case: Case, needed: Sequence[str], imported: Imported, uid: str) -> None:
    """Raise ValueError when some, but not all of the views that the protocol scores are there."""
    have = {camera.name for camera in imported.cameras}
    missing = [name for name in needed if name not in have]
    if have and missing:
        raise ValueError(
            f"{uid} is incomplete: {len(missing)} of the {len(needed)} views that {case.protocol} scores have no "
            f"prediction where they stand, the first of them {missing[0]}"
        )


def _counted(objects: Mapping[str, Imported]) -> dict[str, int]:
    notes = [note for one in objects.values() for note in dict.fromkeys(one.notes)]
    return {note: notes.count(note) for note in dict.fromkeys(notes)}


def score_panorama(folder: Path, name: str, peers: Path) -> Table:
    """Score the scenes of a folder, write `peers/<name>/panorama.json` and return them as a table.

    Raises ValueError when a scene is incomplete.
    """
    scores = {scene: overlap_psnr(path) for scene, path in find_scenes(folder).items()}
    write_json(
        peers / name / PANORAMA, {"metric": "psnr of neighbouring views where they overlap, dB", "scenes": scores}
    )
    table = Table("scene", "overlap PSNR (dB)", title=f"{name}: no true views, so consistency only")
    for scene, value in scores.items():
        table.add_row(scene, f"{value:.2f}")
    table.add_row("mean", f"{sum(scores.values()) / len(scores):.2f}")
    return table
