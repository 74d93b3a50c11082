"""The service over HTTP with a toy model in this process: what is taken, batched, bounded, told of and refused."""

import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from models.network.noise import build_scheduler
from tasks.commands.sampler import Compute
from tasks.commands.service import api
from tasks.commands.service.model import LoadedModel, ServedModel
from tasks.commands.uploads import Photos, Upload, read_uploads
from tests.models.toy_models import NOISE, toy_pipeline
from tests.tasks.commands import bad_photos
from tests.tasks.commands.bad_photos import ball
from tests.tasks.commands.service.local_workers import LocalWorkers
from tests.tasks.commands.service.running import OPTIONS, running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("models") / "toy"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return ServedModel("toy", folder, Compute("cpu", "fp32")).load()


@pytest.mark.slow(seconds=5)
def test_service_photos_become_views_mesh_and_archive_with_progress(model: LoadedModel, tmp_path: Path) -> None:
    with running(LocalWorkers(model), tmp_path / "results") as service:
        answer = service.post(ball(tmp_path / "a.png"), ball(tmp_path / "b.png", x=11), steps=4, seed=3)
        assert answer.status_code == 202
        job = answer.json()["id"]
        assert answer.headers["location"] == f"/jobs/{job}"
        assert answer.json()["notes"] == [
            "b.png: the object is cut at the left border, and what lies beyond is guessed; leave a margin around it"
        ]
        with service.get(f"/jobs/{job}/events", stream=True) as events:
            told = [json.loads(line[6:]) for line in events.iter_lines() if line]
        assert [one["step"] for one in told if one["status"] == "sampling"][-1] == 4
        assert told[-1]["status"] == "done"
        names = service.get(f"/jobs/{job}").json()["files"]
        assert {"views.zip", "t07.png", "mesh.glb", "mesh.ply", "cutouts/c01.png"} < set(names)
        archive = zipfile.ZipFile(io.BytesIO(service.get(f"/jobs/{job}/files/views.zip").content))
        assert set(archive.namelist()) >= set(names) - {"views.zip"}
        assert service.get(f"/jobs/{job}/files/t00.png").content == archive.read("t00.png")
        assert service.get(f"/jobs/{job}/files/..%2F..%2Fetc%2Fpasswd").status_code == 404
        assert requests.delete(f"{service.address}/jobs/{job}", timeout=60).status_code == 204
        assert service.get(f"/jobs/{job}").status_code == 404
        assert not list((tmp_path / "results").iterdir())


@pytest.mark.slow(seconds=5)
def test_service_requests_with_equally_many_photos_are_sampled_together_and_like_alone(
    model: LoadedModel, tmp_path: Path
) -> None:
    first, second = ball(tmp_path / "a.png"), ball(tmp_path / "b.png", colour=(20, 200, 60))
    views = {}
    workers = LocalWorkers(model, is_open=False, finishing=lambda out, *rest: views.update({out.parent.name: rest[1]}))
    with running(workers, tmp_path / "results") as service:
        alone = service.post(first, steps=2, seed=5).json()["id"]
        while not workers.batches:
            time.sleep(0.01)
        jobs = [
            service.post(*photos, steps=2, seed=5).json()["id"] for photos in ((first,), (first, second), (second,))
        ]
        assert [service.get(f"/jobs/{job}").json()["position"] for job in jobs] == [0, 1, 2]
        workers.gate.set()
        ends = [service.ended(job) for job in (alone, *jobs)]
    assert workers.batches == [1, 2, 1]
    assert [end["batch"] for end in ends] == [1, 2, 1, 2]
    one, other = (np.stack(views[job].images).astype(int) for job in (alone, jobs[0]))
    assert np.abs(one - other).max() <= 1
    assert np.abs(one - np.stack(views[jobs[2]].images).astype(int)).max() > 5


@pytest.mark.slow(seconds=3)
def test_service_beyond_its_bound_says_503_with_retry_after_and_takes_more_later(
    model: LoadedModel, tmp_path: Path
) -> None:
    workers = LocalWorkers(model, is_open=False, finishing=lambda *_: None)
    photo = ball(tmp_path / "a.png")
    with running(workers, tmp_path / "results") as service:
        jobs = [service.post(photo, steps=2).json()["id"] for _ in range(4)]
        refused = service.post(photo, steps=2)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "4 requests are waiting, and no more than 4 are taken" in refused.json()["errors"][0]
        waiting = jobs[-1]
        assert requests.delete(f"{service.address}/jobs/{waiting}", timeout=60).status_code == 204
        assert requests.delete(f"{service.address}/jobs/{jobs[0]}", timeout=60).status_code == 409
        jobs[-1] = service.post(photo, steps=2).json()["id"]
        workers.gate.set()
        assert {service.ended(job)["status"] for job in jobs} == {"done"}


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (bad_photos.text_file, "letter.jpg", "letter.jpg is no image that can be read"),
        (
            bad_photos.picture_bomb,
            "bomb.png",
            "bomb.png has 65000 x 65000 pixels, 4225 megapixels; at most 64 are read",
        ),
        (bad_photos.empty_wall, "wall.png", "wall.png: the image has no alpha that is a mask and shows nothing but"),
        (bad_photos.truncated, "half.png", "half.png is damaged or cut off"),
    ],
)
def test_service_bad_photo_is_422_with_the_sentence_of_the_page(
    model: LoadedModel, tmp_path: Path, make: Callable[[Path], Path], name: str, words: str
) -> None:
    with running(LocalWorkers(model), tmp_path / "results") as service:
        answer = service.post(ball(tmp_path / "good.png"), make(tmp_path / name))
    assert answer.status_code == 422
    (sentence,) = answer.json()["errors"]
    assert sentence.startswith(words)
    assert str(tmp_path) not in sentence


def test_service_photos_lie_in_its_own_folder_while_they_are_read(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[Path] = []

    def noted(uploads: Sequence[Upload], *rest: Any) -> Photos:
        places.extend(upload.path for upload in uploads)
        return read_uploads(uploads, *rest)

    monkeypatch.setattr(api, "read_uploads", noted)
    with running(LocalWorkers(model, finishing=lambda *_: None), tmp_path / "results") as service:
        assert service.post(ball(tmp_path / "a.png"), steps=1).status_code == 202
    assert [place.is_relative_to(tmp_path / "results") for place in places] == [True]
    assert not any(place.exists() for place in places)


def test_service_requests_that_are_none_are_4xx_with_a_sentence(model: LoadedModel, tmp_path: Path) -> None:
    photo = ball(tmp_path / "a.png")
    others = [ball(tmp_path / f"{x}.png", x=x) for x in (25, 27, 29, 31)]
    with running(LocalWorkers(model), tmp_path / "results") as service:
        jobs = f"{service.address}/jobs"
        cases = [
            (service.post(*others), 422, "4 photos were given; at most 3 are taken: leave 1 out"),
            (service.post(photo, steps=0), 422, "steps is 0; it must be from 1 to 1000"),
            (service.post(photo, guidance="nan"), 422, "guidance is nan; it must be from 1.0 to 100.0"),
            (service.post(photo, mesh=2), 422, "mesh is 2; it must be from 0 to 1"),
            (service.post(photo, seed="x" * 500), 422, "it must be a whole number"),
            (service.post(photo, strength=1), 400, "strength is no part of a request; there are photos, steps"),
            (requests.post(jobs, json={}, timeout=60), 400, "send the photos as multipart/form-data"),
            (requests.post(jobs, files={"photo": b"x"}, timeout=60), 400, "photo is no part of a request"),
            (requests.post(jobs, files={"seed": (None, "1")}, timeout=60), 422, "there is no photo in it"),
            (service.get("/jobs/nobody"), 404, "there is no job nobody, or its results are deleted already"),
            (service.get("/nowhere"), 404, "Not Found"),
            (service.get("/model", headers={"Host": "rebound.example"}), 403, "loopback"),
        ]
        for answer, status, words in cases:
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert service.get("/model").json()["limits"] == {"photos": 3, "megabytes": 25.0, "megapixels": 64.0}


def test_service_names_of_any_kind_are_files_and_never_text_that_is_left_out(
    model: LoadedModel, tmp_path: Path
) -> None:
    content = ball(tmp_path / "a.png").read_bytes()

    def part(name: str, filename: bytes | None, data: bytes) -> bytes:
        file = b"" if filename is None else b'; filename="' + filename + b'"'
        head = b"--x\r\nContent-Disposition: form-data; name=" + f'"{name}"'.encode() + file
        return head + b"\r\n\r\n" + data + b"\r\n"

    cases: list[tuple[list[tuple[bytes | None, bytes]], int, str]] = [
        ([(b"a.p\x00ng", b"no photo")], 422, "a.p?ng is no image that can be read"),
        ([(b"a\x0b.png", b"no photo")], 422, "a?.png is no image"),
        ([(b"x.NEF", content)], 422, "x.NEF is a raw photo"),
        (
            [(b"a.png", b""), (b"a.png", b"no photo")],
            422,
            'a.png is empty (0 bytes); copy or download it again","a (2).png',
        ),
        ([(b"a.png", content), (None, b"b.png")], 422, "a part named photos is text and no file, 'b.png': send each"),
        ([(b"a.\xff\xfe", content)], 202, "queued"),
    ]
    with running(LocalWorkers(model, finishing=lambda *_: None), tmp_path / "results") as service:
        for files, status, words in cases:
            body = b"".join(part("photos", *file) for file in files) + part("steps", None, b"2") + b"--x--\r\n"
            kind = {"content-type": "Multipart/Form-Data; boundary=x"}
            answer = requests.post(f"{service.address}/jobs", data=body, headers=kind, timeout=60)
            assert (answer.status_code, words in answer.text) == (status, True), answer.text
        body = part("photos", b"a.png", content) + part("steps", b"steps.txt", b"2") + b"--x--\r\n"
        answer = requests.post(f"{service.address}/jobs", data=body, headers=kind, timeout=60)
        assert (answer.status_code, answer.json()["errors"]) == (422, ["steps is a file; send it as text"])


def test_service_request_that_is_cut_off_says_so_and_draws_from_no_part_of_it(
    model: LoadedModel, tmp_path: Path
) -> None:
    contents = [ball(tmp_path / "a.png").read_bytes(), ball(tmp_path / "b.png", x=25).read_bytes()]
    head = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.png"\r\n\r\n'
    body = b"".join(head + content + b"\r\n" for content in contents) + b"--x--\r\n"
    first, second = len(head) + len(contents[0]) + 2, len(body) - len(b"--x--\r\n")
    cases = [
        (body[: len(head) // 2], 400, "the request is cut off: it ends within a part, after 0 whole parts; send all"),
        (body[: first // 2 + 40], 400, "the request is cut off: it ends within a part, after 0 whole parts; send all"),
        (body[: (first + second) // 2], 400, "the request is cut off: it ends within a part, after 1 whole part; send"),
        (body[:second], 400, "the request is cut off"),
        (body[:-2], 202, "queued"),
        (body + b"what follows the end", 202, "queued"),
        (b"rubbish" * 30, 400, "the form cannot be read (Invalid multipart data); send it as multipart/form-data"),
    ]
    with running(LocalWorkers(model, finishing=lambda *_: None), tmp_path / "results") as service:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        for content, status, words in cases:
            answer = requests.post(f"{service.address}/jobs", data=content, headers=kind, timeout=60)
            assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_service_connection_that_ends_before_its_request_is_no_fault_of_the_service(
    model: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(LocalWorkers(model), tmp_path / "results") as service:
        place = urlsplit(service.address)
        with socket.create_connection((place.hostname, place.port), timeout=60) as line:
            head = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n"
            line.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
            line.shutdown(socket.SHUT_WR)
            line.recv(1000)  # until the service has closed it too
        assert service.get("/health").json() == {"status": "ok", "unfinished": 0}
    assert "Exception in ASGI application" not in capsys.readouterr().err


@pytest.mark.parametrize("is_declared", [True, False])
def test_service_too_many_bytes_are_broken_off_whether_declared_or_not(
    model: LoadedModel, tmp_path: Path, is_declared: bool
) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a.png"\r\n\r\n'
    chunk = bytes(1 << 20)

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(90):
            yield chunk

    content: Any = b"".join(body()) if is_declared else body()
    with running(LocalWorkers(model), tmp_path / "results") as service:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        try:
            answer = requests.post(f"{service.address}/jobs", data=content, headers=kind, timeout=60)
        except requests.ConnectionError:  # the answer came, and the line was cut, while this was still sending
            return
        assert answer.status_code == 413
        assert "at most 3 photos of 25 MB are taken" in answer.json()["errors"][0]
        assert service.get("/health").json() == {"status": "ok", "unfinished": 0}


@pytest.mark.slow(seconds=2)
def test_service_job_whose_worker_dies_is_sampled_again_and_given_up_the_second_time(
    model: LoadedModel, tmp_path: Path
) -> None:
    workers = LocalWorkers(model, deaths=1, finishing=lambda *_: None)
    with running(workers, tmp_path / "results") as service:
        job = service.post(ball(tmp_path / "a.png"), steps=2).json()["id"]
        assert service.ended(job)["status"] == "done"
        workers.deaths = 2
        job = service.post(ball(tmp_path / "a.png"), steps=2).json()["id"]
        assert service.ended(job)["errors"] == ["the process that samples died 2 times (its process is gone)"]
        assert service.post(ball(tmp_path / "a.png"), steps=2).status_code == 202


@pytest.mark.slow(seconds=2)
def test_service_full_disk_fails_the_job_with_a_sentence_and_the_next_goes_on(
    model: LoadedModel, tmp_path: Path
) -> None:
    faults: list[OSError] = [OSError(28, "No space left on device")]

    def finishing(*_: object) -> None:
        if faults:
            raise faults.pop()

    with running(LocalWorkers(model, finishing=finishing), tmp_path / "results") as service:
        ends = [service.ended(service.post(ball(tmp_path / "a.png"), steps=2).json()["id"]) for _ in range(2)]
    assert ends[0]["errors"] == ["the views cannot be written (No space left on device): its disk needs space"]
    assert ends[1]["status"] == "done"


@pytest.mark.slow(seconds=2)
def test_service_that_stops_ends_what_is_under_way_and_refuses_what_waits(model: LoadedModel, tmp_path: Path) -> None:
    workers = LocalWorkers(model, is_open=False, finishing=lambda *_: None)
    options = replace(OPTIONS, batch=1)
    with running(workers, tmp_path / "results", options) as service:
        under_way, waiting = (service.post(ball(tmp_path / "a.png"), steps=2).json()["id"] for _ in range(2))
        stopping = threading.Thread(target=service.stop, args=(60,))
        stopping.start()
        while service.get("/health").status_code == 200:
            time.sleep(0.01)
        refused = service.post(ball(tmp_path / "a.png"))
        assert (refused.status_code, "stopping" in refused.json()["errors"][0]) == (503, True)
        assert "stopped before this request's turn" in service.ended(waiting)["errors"][0]
        workers.gate.set()
        stopping.join()
        assert service.ended(under_way)["status"] == "done"


@pytest.mark.slow(seconds=2)
def test_service_results_are_deleted_after_their_time(model: LoadedModel, tmp_path: Path) -> None:
    options = replace(OPTIONS, keep_minutes=0.01)
    with running(LocalWorkers(model), tmp_path / "results", options) as service:
        job = service.post(ball(tmp_path / "a.png"), steps=1).json()["id"]
        service.ended(job)
        time.sleep(0.8)
        assert service.get(f"/jobs/{job}").status_code == 404
        assert not list((tmp_path / "results").iterdir())
