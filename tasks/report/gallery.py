"""The part of the report to look at: per test object what was given, the truth, and what each case made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.reconstruction.mesh import painted
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.views import ViewSet, target_views
from tasks.evaluation.mesh_metrics import read_mesh
from tasks.evaluation.object_scores import Case, ObjectScore
from tasks.report.html import Html, fold, join, tag
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import mesh_preview, strip
from tasks.report.words import case_title, group_title

MAX_OBJECTS = 40
SHOWN_ELEVATION_DEG = 30.0
"""The row of views that stands for all of them; a click shows the others."""


@dataclass(frozen=True)
class Gallery:
    """Draws objects into the folder `images` beside the page."""

    inputs: ReportInputs
    truth: ViewSet
    out: Path

    def draw(self, rows: Sequence[ObjectScore]) -> Html:
        """A block per object, training objects first."""
        order = sorted({(row.group != "train", row.group, row.uid) for row in rows})[:MAX_OBJECTS]
        return join(self._object([row for row in rows if row.uid == uid]) for _, _, uid in order)

    def _object(self, rows: Sequence[ObjectScore]) -> Html:
        uid = rows[0].uid
        title = tag("h3", uid, " ", tag("span", group_title(rows[0].group), class_="badge"))
        true_mesh = self._true_mesh(uid)
        parts = {
            protocol: join(self._protocol(members, true_mesh))
            for protocol in ("sparse", "ring")
            if (members := [row for row in rows if row.case.protocol == protocol])
        }
        ring = [fold("Ring protocol: SyncDreamer's cameras, one view given", parts["ring"])] if "ring" in parts else []
        return tag("article", title, parts.get("sparse", Html()), *ring, class_="object")

    def _protocol(self, rows: Sequence[ObjectScore], true_mesh: Html) -> Iterator[Html]:
        case, uid = rows[0].case, rows[0].uid
        shown, every, columns = self._names(uid, case)
        most = max(row.case.conditions for row in rows)
        given = [case.copied] if case.protocol == "ring" else self.truth.names(uid, "c")[:most]
        pictures = self._picture(f"{uid}-{case.protocol}-given", strip(self.truth.images(uid, given), len(given)))
        yield tag("div", tag("p", "Given", tag("small", f"{len(given)} at most")), pictures, class_="row given")
        views = self._views(f"{uid}-{case.protocol}-truth", self.truth, uid, (shown, every, columns))
        yield tag("div", tag("p", "Truth"), views, true_mesh, class_="row")
        for row in rows:
            name, sampled = f"{uid}-{row.case.name}", ViewSet.open(self.inputs.samples / row.case.name)
            label = tag("p", case_title(row.case), tag("small", f"{row.metrics['psnr']:.1f} dB"))
            views = self._views(name, sampled, uid, (shown, every, columns))
            yield tag("div", label, views, self._made_mesh(name, row), class_="row")

    def _names(self, uid: str, case: Case) -> tuple[list[str], list[str], int]:
        """Names of the views in the strip and of all scored views, and how many of these make a row of the sheet."""
        cameras = ViewSet.open(self.inputs.samples / case.name).cameras_named(uid, case.prefix)
        distances = [abs(camera.elevation_deg - SHOWN_ELEVATION_DEG) for camera in cameras]
        shown = [camera.name for camera, far in zip(cameras, distances, strict=True) if far == min(distances)]
        return shown, [camera.name for camera in cameras], len(shown)

    def _views(self, name: str, views: ViewSet, uid: str, names: tuple[list[str], list[str], int]) -> Html:
        """A strip of some views that leads to the sheet of all."""
        shown, every, columns = names
        picture = self._picture(name, strip(views.images(uid, shown), columns))
        if len(every) == len(shown):
            return picture
        self._picture(f"{name}-all", strip(views.images(uid, every), columns))
        return tag("a", picture, href=f"images/{name}-all.png", title=f"all {len(every)} views")

    def _true_mesh(self, uid: str) -> Html:
        mesh = painted(read_mesh(self.inputs.test_views / "meshes" / f"{uid}.ply"), target_views(self.truth, uid))
        return self._mesh(f"{uid}-truth-mesh", mesh_preview(mesh, self._first_azimuth(uid)))

    def _made_mesh(self, name: str, row: ObjectScore) -> Html:
        if "chamfer" not in row.metrics:
            return tag("p", "no mesh: the views enclose nothing", class_="none")
        mesh = read_mesh(self.inputs.meshes / row.case.name / f"{row.uid}.ply")
        return self._mesh(f"{name}-mesh", mesh_preview(mesh, self._first_azimuth(row.uid)))

    def _first_azimuth(self, uid: str) -> float:
        return self.truth.cameras_named(uid, "t")[0].azimuth_deg

    def _mesh(self, name: str, picture: bytes) -> Html:
        return tag("div", self._picture(name, picture), class_="meshes")

    def _picture(self, name: str, picture: bytes) -> Html:
        write_bytes(self.out / "images" / f"{name}.png", picture)
        return tag("img", src=f"images/{name}.png", alt=name.replace("-", " "), loading="lazy")
