"""The pages of the data browser: plain HTML that the server fills, with an address for each search and each object."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Response
from fastapi import Query as Parameter
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import ChoiceLoader, PackageLoader
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from tasks.artifacts.licences import LICENCES
from tasks.artifacts.manifest import MANIFEST
from tasks.commands.browse.ledgers import sealed_stages
from tasks.commands.browse.objects import ObjectTable, Query, read_object_table
from tasks.commands.browse.pictures import Pictures
from tasks.commands.loopback import STILL, OwnHosts, SelfContained
from tasks.report.templating import escaping_environment

ROWS = 50
"""Objects on a page."""
REASONS = 12
"""Reasons that are listed for a stage."""


class Data:
    """What the stages have written, read again when one of them has ended anew.

    Args:
        folder: Of the data.

    Raises:
        ValueError: No stage has ended, or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._read()

    def now(self) -> tuple[ObjectTable, Pictures | None]:
        """Return the objects, and the pictures of those that were rendered, as they are now."""
        with self._lock:
            if _ages(self.folder) != self._ages:
                self._read()
            return self._objects, self._pictures

    def _read(self) -> None:
        ages = _ages(self.folder)
        self._objects = read_object_table(self.folder)
        views = sealed_stages(self.folder).get("render")
        self._pictures = Pictures(views) if views else None
        self._ages = ages


def build_browser(data: Data, host: str) -> FastAPI:
    """Return the application.

    Args:
        data: What it shows.
        host: Address that it will be served on.
    """
    app = FastAPI(
        openapi_url=None,
        middleware=[Middleware(OwnHosts, host=host), Middleware(SelfContained, policy=STILL)],
    )
    loader = ChoiceLoader([PackageLoader("tasks.commands.browse"), PackageLoader("tasks.report")])
    templates = escaping_environment(loader)

    def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(templates.get_template(name).render(**values), status)

    @app.get("/")
    def search(
        words: str = "",
        stage: str = "",
        status: str = "",
        split: str = "",
        licence: str = "",
        reason: str = "",
        number: Annotated[int, Parameter(alias="page", ge=1, le=10**7)] = 1,
    ) -> HTMLResponse:
        objects, pictures = data.now()
        query = Query(words, stage, status, split, licence, reason)
        found = objects.search(query)
        return page(
            "search.html.jinja",
            query=query,
            rows=[_shown(row, pictures) for row in found.slice((number - 1) * ROWS, ROWS).to_pylist()],
            total=len(found),
            number=number,
            last=max(1, -(-len(found) // ROWS)),
            link=partial(_link, query),
            objects=objects,
            max_reasons=REASONS,
            folder=data.folder,
        )

    @app.get("/object/{uid}")
    def one(uid: str) -> HTMLResponse:
        objects, pictures = data.now()
        row = objects.row(uid)
        if row is None:
            return page("missing.html.jinja", 404, uid=uid, folder=data.folder)
        shown, overview, fault = _shown(row, pictures), None, ""
        if pictures is not None and shown["has_views"]:
            try:
                overview = pictures.overview(uid)
            except (KeyError, ValueError, OSError) as error:
                fault = str(error)
        return page("object.html.jinja", row=shown, overview=overview, fault=fault, steps=_steps(objects, row))

    _serve_pictures(app, data)
    return app


def _serve_pictures(app: FastAPI, data: Data) -> None:
    @app.get("/tile/{uid}/{name}.png")
    def tile(uid: str, name: str) -> Response:
        return _png(lambda: _pictures(data).tile(uid, name))

    @app.get("/thumbnail/{uid}.png")
    def thumbnail(uid: str) -> Response:
        return _png(lambda: _pictures(data).thumbnail(uid))

    @app.get("/view/{uid}/{name}.png")
    def view(uid: str, name: str) -> Response:
        return _png(lambda: _pictures(data).view(uid, name))

    @app.exception_handler(HTTPException)
    def refused(_: object, error: HTTPException) -> PlainTextResponse:
        return PlainTextResponse(f"{error.detail}\n", error.status_code)


def _pictures(data: Data) -> Pictures:
    pictures = data.now()[1]
    if pictures is None:
        raise KeyError("nothing is rendered yet")
    return pictures


def _png(draw: Callable[[], bytes]) -> Response:
    try:
        return Response(draw(), media_type="image/png", headers={"cache-control": "max-age=60"})
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error
    except (ValueError, OSError) as error:
        raise HTTPException(500, str(error)) from error


def _shown(row: Mapping[str, Any], pictures: Pictures | None) -> dict[str, Any]:
    """Return a row with its licence's address, its source's address and whether there are views of it."""
    licence = LICENCES.get(row["licence"])
    return {
        **row,
        "licence_url": licence.url if licence else "",
        "address": f"https://sketchfab.com/3d-models/{row['uid']}" if row["source"] == "objaverse" else "",
        "has_views": pictures is not None and row["uid"] in pictures,
    }


def _steps(objects: ObjectTable, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the stages that an object went through, with what became of it in each."""
    names = [one.stage for one in objects.stages]
    reached = names.index(row["stage"])
    return [(name, "done") for name in names[:reached]] + [(row["stage"], row["status"])]


def _link(query: Query, **changes: Any) -> str:
    number = changes.pop("page", 1)
    values = {name: value for name, value in vars(replace(query, **changes)).items() if value}
    return "/?" + urlencode(values | ({"page": number} if number > 1 else {}))


def _ages(folder: Path) -> dict[str, int]:
    """Return when each stage ended, in ns."""
    return {stage: (at / MANIFEST).stat().st_mtime_ns for stage, at in sealed_stages(folder).items()}
