"""Gallery of the test objects: what was given, the truth, and what each case made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from models.reconstruction.mesh import Mesh, painted
from render.images import Rgba
from render.views import ViewKind
from tasks.artifacts.cases import Case, Protocol
from tasks.artifacts.test_set import true_mesh_path
from tasks.artifacts.views import ViewSet, posed_views
from tasks.evaluation.mesh_metrics import read_mesh
from tasks.evaluation.object_scores import ObjectScore
from tasks.report.inputs import ReportInputs
from tasks.report.mesh_preview import mesh_preview
from tasks.report.pictures import Picture, picture
from tasks.report.strips import error_strip, plain_strip, shown_views, thumbnails, turning_strip
from tasks.report.tables import group_order
from tasks.report.viewer import MAX_FACES, TurningMesh, decimated, face_budget, turning_mesh
from tasks.report.words import case_title, is_model, method_title

MAX_OBJECTS = 40
GALLERY_BYTES = 12_000_000
"""Pictures and meshes of the gallery; what is left out beyond it is said. With the rest, the page fits into a mail."""
MESH_BYTES = 6_000_000
"""Of them, for the meshes that turn; more meshes have fewer faces each."""
NOTES = (("psnr", "{:.1f} dB"), ("ssim", "SSIM {:.3f}"), ("chamfer", "Chamfer {:.4f}"))
"""What stands beside a row of views."""
ENCLOSES_NOTHING = "no mesh: the views enclose nothing"


@dataclass(frozen=True)
class Row:
    """True or sampled views of an object, and its mesh if there is one."""

    label: str
    notes: tuple[str, ...]
    views: Picture | None
    mesh: Picture | None
    no_mesh: str = ENCLOSES_NOTHING
    """Why there is none."""


@dataclass(frozen=True)
class Panel:
    """One object under one protocol: the given views, then the truth and every case row by row."""

    protocol: Protocol
    given: Picture
    num_given: int
    rows: tuple[Row, ...]
    turning: Picture
    """Truth and every method with most given views side by side, turning."""
    meshes: tuple[TurningMesh, ...]
    first_azimuth_deg: float

    @property
    def num_bytes(self) -> int:
        """About how much of the page it takes."""
        pictures = [self.given, self.turning, *(one for row in self.rows for one in (row.views, row.mesh) if one)]
        return sum(len(one.uri) for one in pictures) + sum(len(mesh.data) for mesh in self.meshes)


@dataclass(frozen=True)
class ShownObject:
    """A test object with a panel per protocol."""

    uid: str
    group: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Gallery:
    """Draws test objects from the folders of a run and the scores of all its cases."""

    inputs: ReportInputs
    scores: Sequence[ObjectScore]

    def draw(self) -> Iterator[ShownObject]:
        """Yield the first objects, training objects first, up to MAX_OBJECTS and GALLERY_BYTES, but at least one."""
        num_bytes = 0
        for group, uid in self._shown:
            members = [row for row in self.scores if (row.group, row.uid) == (group, uid)]
            protocols = dict.fromkeys(row.case.protocol for row in members)
            panels = tuple(self._panel([row for row in members if row.case.protocol == one]) for one in protocols)
            size = sum(panel.num_bytes for panel in panels)
            if num_bytes and num_bytes + size > GALLERY_BYTES:
                return
            num_bytes += size
            yield ShownObject(uid, group, panels)

    @cached_property
    def _shown(self) -> list[tuple[str, str]]:
        """(group, uid) of the first MAX_OBJECTS objects, training objects first."""
        objects = {(row.group, row.uid) for row in self.scores}
        return sorted(objects, key=lambda one: (*group_order(one[0]), one[1]))[:MAX_OBJECTS]

    @cached_property
    def _max_faces(self) -> int:
        """Faces of each mesh that turns: the true one of each panel, and one per method."""
        shown = [row for row in self.scores if (row.group, row.uid) in self._shown]
        true = {(row.group, row.uid, row.case.protocol) for row in shown}
        made = {(row.group, row.uid, row.case.protocol, row.case.method) for row in shown if row.mesh}
        return face_budget(MESH_BYTES, len(true) + len(made))

    def _panel(self, scores: Sequence[ObjectScore]) -> Panel:
        """Draw one object under one protocol, from its scores in all cases of the protocol."""
        uid, case = scores[0].uid, scores[0].case
        truth = self.inputs.view_set(self.inputs.truth_of(case))
        cameras = truth.cameras(uid, case.scored)
        names = shown_views(cameras)
        true_views, true_mesh = thumbnails(truth, uid, names), self._true_mesh(truth, case, uid)
        most = max(row.case.conditions for row in scores)
        given = truth.names(uid, ViewKind.CONDITION)[:most] if case.protocol == "sparse" else [case.copied]
        azimuth = cameras[0].azimuth_deg
        drawn = {row.case: self._drawn(row, names) for row in scores}
        meshes = {row.case: _small(row.mesh) if row.mesh else None for row in scores}
        shown = [row.case for row in _with_most_given(scores)]
        named = [("Truth", true_mesh), *((case_title(one), meshes[one]) for one in shown)]
        solid = [(label, mesh) for label, mesh in named if mesh]
        turning: list[Sequence[Rgba | None]] = [true_views, *(views for one in shown if (views := drawn[one]))]
        who = ", ".join(method_title(one.method) for one in shown if drawn[one])
        return Panel(
            protocol=case.protocol,
            given=plain_strip(thumbnails(truth, uid, given), f"{uid}: given views"),
            num_given=len(given),
            rows=(
                Row(
                    "Truth",
                    (),
                    plain_strip(true_views, f"{uid}: true views"),
                    _preview(true_mesh, azimuth, f"{uid}: true mesh") if true_mesh else None,
                    "no true mesh is given",
                ),
                *(_row(row, drawn[row.case], true_views, meshes[row.case], azimuth) for row in scores),
            ),
            turning=turning_strip(turning, f"{uid} turning, side by side: truth, {who}"),
            meshes=tuple(turning_mesh(mesh, label, self._max_faces) for label, mesh in solid),
            first_azimuth_deg=azimuth,
        )

    def _drawn(self, score: ObjectScore, names: Sequence[str]) -> list[Rgba | None] | None:
        """Read views of a case; None for one that it does not have, and for all of a case of meshes alone."""
        if score.views is None:
            return None
        views = self.inputs.view_set(score.views)
        present = [name for name in views.names(score.uid) if name in names]
        drawn = dict(zip(present, thumbnails(views, score.uid, present), strict=True))
        return [drawn.get(name) for name in names]

    def _true_mesh(self, truth: ViewSet, case: Case, uid: str) -> Mesh | None:
        """The true mesh, painted from the true views; None where the object has none."""
        path = true_mesh_path(self.inputs.truth_of(case), uid)
        if not path.is_file():
            return None
        views = posed_views(truth, uid, truth.names(uid, case.scored))
        return painted(_small(path), views)


def _small(path: Path) -> Mesh:
    return decimated(read_mesh(path), MAX_FACES)


def _with_most_given(scores: Sequence[ObjectScore]) -> list[ObjectScore]:
    """Of each method, the case with the most given views."""
    return list({row.case.method: row for row in sorted(scores, key=lambda row: row.case.conditions)}.values())


def _row(
    score: ObjectScore,
    drawn: Sequence[Rgba | None] | None,
    truth: Sequence[Rgba],
    mesh: Mesh | None,
    azimuth_deg: float,
) -> Row:
    """Draw the views of a case above their errors, and the mesh."""
    title, uid = case_title(score.case), score.uid
    views = error_strip(drawn, truth, f"{uid}: views of {title}, under each its error") if drawn else None
    notes = tuple(text.format(score.metrics[name]) for name, text in NOTES if name in score.metrics)
    shape = _preview(mesh, azimuth_deg, f"{uid}: mesh of {title}") if mesh else None
    why = ENCLOSES_NOTHING if is_model(score.case.method) else "no mesh"
    return Row(title, notes, views, shape, why)


def _preview(mesh: Mesh, azimuth_deg: float, alt: str) -> Picture:
    return picture(mesh_preview(mesh, azimuth_deg), f"{alt}, in colour and untextured")
