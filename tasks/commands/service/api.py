"""The service over HTTP: what is asked is checked at once, and everything is answered in JSON with whole sentences."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect

from tasks.commands.loopback import App, OwnHosts, Receive, Scope, Send
from tasks.commands.sampler import SampleSettings
from tasks.commands.service.engine import Engine, FullError
from tasks.commands.service.form import whole_form
from tasks.commands.service.jobs import Asked, Job
from tasks.commands.uploads import MB, Photos, Upload, UploadLimits, named_apart, read_uploads

PHOTOS = "photos"
FIELDS = {"steps": int, "guidance": float, "seed": int, "mesh": int}
MOST_FILES = 100
"""Files of a request that are read at all; the limit of photos is told of by a sentence."""
EXTRA_BYTES = 1 << 20
"""Of a request beside its photos."""
SUFFIX = re.compile(r"\.[a-z0-9]{1,7}")
"""Endings of names that are kept, since raw photos are known by them."""
MAX_STEPS, MAX_GUIDANCE, MAX_SEED = 1000, 100.0, 2**63 - 1


@dataclass(frozen=True)
class ModelFacts:
    """What clients want to know of the model."""

    model: str
    max_photos: int
    views: int
    resolution: int
    default_steps: int


class TooLargeError(Exception):
    """A request has more bytes than are taken."""


class BodyLimit:
    """Breaks off requests that have more bytes than are taken, also those that do not say how many they have."""

    def __init__(self, app: App, num_bytes: int) -> None:
        """Guard `app`."""
        self._app, self._num_bytes = app, num_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading too much of its body raises TooLargeError."""
        received = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._num_bytes:
                raise TooLargeError
            return message

        await self._app(scope, counted, send)


def build_api(engine: Engine, facts: ModelFacts, limits: UploadLimits, host: str, folder: Path) -> FastAPI:
    """Return the application; the engine is started and stopped by whoever serves it.

    Args:
        engine: Works on the requests.
        facts: Of the model.
        limits: What is taken of a request.
        host: Address that it will be served on.
        folder: Takes the photos of requests while they are read.
    """
    most_bytes = int(limits.photos * limits.megabytes * MB) + EXTRA_BYTES
    app = FastAPI(
        title="MVDiffusion++",
        docs_url=None,  # its page loads scripts from elsewhere; /openapi.json has the same
        redoc_url=None,
        middleware=[Middleware(OwnHosts, host=host), Middleware(BodyLimit, num_bytes=most_bytes)],
    )
    reader = ThreadPoolExecutor(1, "photos")  # one photo in memory at a time

    @app.get("/health")
    async def health() -> JSONResponse:
        waiting = len(engine.store.unfinished())
        status = "stopping" if engine.is_stopping else "ok"
        return JSONResponse({"status": status, "unfinished": waiting}, 503 if engine.is_stopping else 200)

    @app.get("/model")
    async def model() -> JSONResponse:
        return JSONResponse({**asdict(facts), "limits": asdict(limits)})

    @app.post("/jobs", status_code=202)
    async def submit(request: Request) -> JSONResponse:
        engine.check_room()  # before a large body is read
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > most_bytes:
            raise TooLargeError
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise HTTPException(400, f"send the photos as multipart/form-data, each in a part named {PHOTOS}")
        async with whole_form(request, max_files=MOST_FILES, max_fields=len(FIELDS) + 1) as form:
            values = _values(form)
            photos = await _read(form, limits, reader, folder)
        job = await engine.submit(_asked(photos, values))
        return JSONResponse(job.described(engine.position(job)), 202, headers={"location": f"/jobs/{job.id}"})

    _serve_jobs(app, engine)
    _explain_errors(app, limits)
    return app


def _serve_jobs(app: FastAPI, engine: Engine) -> None:
    @app.get("/jobs/{name}")
    async def status(name: str) -> JSONResponse:
        job = _known(engine, name)
        return JSONResponse(job.described(engine.position(job)))

    @app.get("/jobs/{name}/events")
    async def events(name: str) -> StreamingResponse:
        changes = _changes(engine, _known(engine, name))
        return StreamingResponse(changes, media_type="text/event-stream", headers={"cache-control": "no-store"})

    @app.get("/jobs/{name}/files/{file:path}")
    async def result(name: str, file: str) -> FileResponse:
        job = _known(engine, name)
        path = job.file(file)
        if path is None:
            raise HTTPException(404, f"the job {name} is {job.status} and has no file {file}")
        return FileResponse(path, filename=path.name)

    @app.delete("/jobs/{name}", status_code=204)
    async def withdraw(name: str) -> Response:
        job = _known(engine, name)
        if not await engine.withdraw(job):
            raise HTTPException(409, f"the job {name} is {job.status} and cannot be withdrawn any more: wait for it")
        return Response(status_code=204)


def _known(engine: Engine, name: str) -> Job:
    job = engine.store.get(name)
    if job is None:
        raise HTTPException(404, f"there is no job {name}, or its results are deleted already: send the photos again")
    return job


async def _changes(engine: Engine, job: Job) -> AsyncIterator[str]:
    """Yield what is told of a job whenever it changes, as server-sent events, until it is over."""
    before = ""
    async for _ in engine.follow(job):
        told = job.described(engine.position(job))
        now = json.dumps({name: value for name, value in told.items() if name != "seconds"})
        if now != before:
            yield f"data: {now}\n\n"
        before = now


def _explain_errors(app: FastAPI, limits: UploadLimits) -> None:
    @app.exception_handler(FullError)
    async def full(_: Request, error: FullError) -> JSONResponse:
        return JSONResponse({"errors": [str(error)]}, 503, headers={"retry-after": str(error.retry_after)})

    @app.exception_handler(TooLargeError)
    async def too_large(_: Request, error: TooLargeError) -> JSONResponse:
        del error
        sentence = (
            f"the request has more than {limits.photos * limits.megabytes:g} MB; at most {limits.photos} photos of "
            f"{limits.megabytes:g} MB are taken: save them smaller"
        )
        return JSONResponse({"errors": [sentence]}, 413, headers={"connection": "close"})

    @app.exception_handler(ClientDisconnect)
    async def broken_off(_: Request, error: ClientDisconnect) -> JSONResponse:
        del error
        sentence = "the connection ended before the request did; send all of it again"
        return JSONResponse({"errors": [sentence]}, 400, headers={"connection": "close"})

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"errors": str(error.detail).splitlines()}, error.status_code)


def _values(form: FormData) -> dict[str, float]:
    """Return the numbers of a request, checked."""
    unknown = sorted(set(form) - {PHOTOS, *FIELDS})
    if unknown:
        raise HTTPException(
            400, f"{', '.join(unknown)} is no part of a request; there are {PHOTOS}, {', '.join(FIELDS)}"
        )
    values = {name: _number(name, form[name]) for name in FIELDS if name in form}
    for name, low, high in (
        ("steps", 1, MAX_STEPS),
        ("guidance", 1.0, MAX_GUIDANCE),
        ("seed", 0, MAX_SEED),
        ("mesh", 0, 1),
    ):
        if name in values and not low <= values[name] <= high:
            raise HTTPException(422, f"{name} is {form[name]}; it must be from {low} to {high}")
    return values


def _number(name: str, value: object) -> float:
    kind = FIELDS[name]
    if isinstance(value, UploadFile):
        raise HTTPException(422, f"{name} is a file; send it as text")
    try:
        return kind(str(value))
    except ValueError:
        words = "a whole number" if kind is int else "a number"
        raise HTTPException(422, f"{name} is {str(value)[:100]}; it must be {words}") from None


async def _read(form: FormData, limits: UploadLimits, reader: ThreadPoolExecutor, place: Path) -> Photos:
    given = form.getlist(PHOTOS)
    parts = [part for part in given if isinstance(part, UploadFile)]
    if texts := [part for part in given if isinstance(part, str)]:
        raise HTTPException(
            422,
            f"a part named {PHOTOS} is text and no file, {texts[0][:100]!r}: send each photo as a file "
            f"(curl -F {PHOTOS}=@FILE)",
        )
    if not parts:
        raise HTTPException(422, f"there is no photo in it: send 1 to {limits.photos}, each in a part named {PHOTOS}")
    with tempfile.TemporaryDirectory(prefix="photos-", dir=place) as folder:
        uploads = await _saved(parts, Path(folder))
        return await asyncio.get_running_loop().run_in_executor(reader, read_uploads, uploads, limits)


async def _saved(parts: Sequence[UploadFile], folder: Path) -> list[Upload]:
    """Copy the files of a request to numbered ones; the names that strangers give are shown and never opened."""
    uploads = []
    for number, part in enumerate(parts):
        name = "".join(letter if letter.isprintable() else "?" for letter in Path(part.filename or "").name[:100])
        name = name or f"photo {number}"
        suffix = Path(name).suffix.lower()
        path = folder / f"{number:03d}{suffix if SUFFIX.fullmatch(suffix) else ''}"
        with path.open("wb") as file:
            while chunk := await part.read(1 << 20):
                file.write(chunk)
        uploads.append(Upload(name, path))
    return named_apart(uploads)


def _asked(photos: Photos, values: Mapping[str, float]) -> Asked:
    if photos.faults:
        raise HTTPException(422, "\n".join(photos.faults))
    warnings = [f"{cut.name}: {warning}" for cut in photos.cut_outs for warning in cut.warnings]
    return Asked(
        photos=[cut.image for cut in photos.cut_outs],
        settings=SampleSettings(
            steps=int(values["steps"]) if "steps" in values else None, guidance=values.get("guidance", 1.0)
        ),
        seed=int(values.get("seed", 0)),
        notes=[*photos.notes, *warnings],
        has_mesh=bool(values.get("mesh", 1)),
    )
