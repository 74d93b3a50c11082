"""Gallery of the test objects: what was given, the truth, and what each case made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.reconstruction.mesh import Mesh, painted
from render.cameras import Camera
from render.views import ViewKind
from tasks.artifacts.cases import Protocol
from tasks.artifacts.views import ViewSet, target_views
from tasks.evaluation.mesh_metrics import read_mesh
from tasks.evaluation.object_scores import ObjectScore
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import Picture, mesh_preview, save_picture, view_sheet
from tasks.report.tables import group_order
from tasks.report.words import case_title

MAX_OBJECTS = 40
SHOWN_ELEVATION_DEG = 30.0
"""The views nearest to this elevation stand for all of them; a click shows the others."""


@dataclass(frozen=True)
class Row:
    """True or sampled views of an object, and its mesh if there is one."""

    label: str
    note: str
    views: Picture
    mesh: Picture | None


@dataclass(frozen=True)
class Panel:
    """One object under one protocol: the given views, then the truth and every case row by row."""

    given: Picture
    num_given: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ShownObject:
    """A test object with a panel per protocol."""

    uid: str
    group: str
    panels: Mapping[Protocol, Panel]


@dataclass(frozen=True)
class Gallery:
    """Draws test objects into the folder `images` of `out`.

    `truth` is the set of true test views, which `inputs` names too.
    """

    inputs: ReportInputs
    truth: ViewSet
    out: Path

    def draw(self, scores: Sequence[ObjectScore]) -> Iterator[ShownObject]:
        """Yield the first MAX_OBJECTS objects, training objects first."""
        for _, group, uid in sorted({(*group_order(row.group), row.uid) for row in scores})[:MAX_OBJECTS]:
            members = [row for row in scores if row.uid == uid]
            mesh = self._true_mesh(uid)
            protocols = dict.fromkeys(row.case.protocol for row in members)
            panels = {
                name: self._panel([row for row in members if row.case.protocol == name], mesh) for name in protocols
            }
            yield ShownObject(uid, group, panels)

    def _panel(self, scores: Sequence[ObjectScore], true_mesh: Picture) -> Panel:
        """Draw one object under one protocol, from its scores in all cases of the protocol."""
        uid, case = scores[0].uid, scores[0].case
        most = max(row.case.conditions for row in scores)
        given = [case.copied] if case.protocol != "sparse" else self.truth.names(uid, ViewKind.CONDITION)[:most]
        sheet = view_sheet(self.truth.images(uid, given), len(given))
        picture = save_picture(self.out, f"{uid}-{case.protocol}-given.png", sheet, f"{uid}: given views")
        cameras = ViewSet.open(self.inputs.samples / case.name).cameras(uid, case.scored)
        views = self._views(f"{uid}-{case.protocol}-truth", "true views", self.truth, uid, cameras)
        cases = [self._case(row, cameras) for row in scores]
        return Panel(picture, len(given), (Row("Truth", "", views, true_mesh), *cases))

    def _case(self, score: ObjectScore, cameras: Sequence[Camera]) -> Row:
        """Draw the sampled views of a case, and the mesh rebuilt from them."""
        uid, case, title = score.uid, score.case, case_title(score.case)
        sampled, mesh = ViewSet.open(self.inputs.samples / case.name), None
        if "chamfer" in score.metrics:
            made = read_mesh(self.inputs.meshes / case.name / f"{uid}.ply")
            mesh = self._mesh(f"{uid}-{case.name}-mesh", f"mesh of {title}", made, uid)
        views = self._views(f"{uid}-{case.name}", f"views of {title}", sampled, uid, cameras)
        return Row(title, f"{score.metrics['psnr']:.1f} dB", views, mesh)

    def _views(self, name: str, what: str, views: ViewSet, uid: str, cameras: Sequence[Camera]) -> Picture:
        """Draw the views nearest to SHOWN_ELEVATION_DEG, and the sheet of all of them where there are more."""
        distance = {camera.name: abs(camera.elevation_deg - SHOWN_ELEVATION_DEG) for camera in cameras}
        shown = [view for view in distance if distance[view] == min(distance.values())]
        sheet = view_sheet(views.images(uid, shown), len(shown))
        picture = save_picture(self.out, f"{name}.png", sheet, f"{uid}: {what}")
        if len(shown) == len(cameras):
            return picture
        sheet = view_sheet(views.images(uid, list(distance)), len(shown))
        return replace(picture, sheet=save_picture(self.out, f"{name}-all.png", sheet, f"{uid}: all {what}").file)

    def _true_mesh(self, uid: str) -> Picture:
        mesh = painted(read_mesh(self.inputs.test_views / "meshes" / f"{uid}.ply"), target_views(self.truth, uid))
        return self._mesh(f"{uid}-truth-mesh", "true mesh", mesh, uid)

    def _mesh(self, name: str, what: str, mesh: Mesh, uid: str) -> Picture:
        preview = mesh_preview(mesh, self.truth.cameras(uid, ViewKind.TARGET)[0].azimuth_deg)
        return save_picture(self.out, f"{name}.png", preview, f"{uid}: {what}, in colour and untextured")
