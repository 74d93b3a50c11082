"""Aesthetic scores computed from views and from thumbnails, by the command and over pools."""

import io
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionModelWithProjection

from flows.__main__ import main
from infra.execution.ray_pool import Limits, RayPool
from infra.storage.store import RemoteStore
from tasks.artifacts.manifest import Kind, open_manifest, seal
from tasks.artifacts.tables import Entry, read_entries, write_entries
from tasks.artifacts.views import ViewSet
from tasks.catalog import make_catalog
from tasks.commands.aesthetic.options import AestheticOptions
from tasks.commands.aesthetic.scores import check_options, write_scores
from tasks.outcome import Failed, Outcome
from tasks.ports import Tools
from tasks.validation.appearance import looked_at
from tests.infra.server import Fault, WebServer
from tests.models.aesthetic_networks import clip_pixels, head_state, score_of, write_encoder, write_head
from tests.models.inference.hub import COMMIT, ask, served
from tests.tasks.hub import catalog_config
from tests.tasks.small_views import LOOP, write_small_views
from tests.tasks.test_select import catalog_of
from tests.tasks.toolbox import make_tools, notes_of

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of five objects in three shards, and networks."""
    folder = tmp_path_factory.mktemp("aesthetic")
    write_small_views(folder, num_objects=5)
    write_encoder(folder / "encoder")
    write_head(folder / "head.pth")
    return folder


def options_of(made: Path, source: Path, out: Path, **changes: Any) -> AestheticOptions:
    return AestheticOptions(
        **{
            "source": source,
            "out": out,
            "encoder": str(made / "encoder"),
            "head": str(made / "head.pth"),
            **changes,
        }
    )


def words_of(options: AestheticOptions) -> list[str]:
    networks = ["--encoder", options.encoder, "--head", options.head]
    return ["aesthetic-scores", str(options.source), str(options.out), *map(str, networks)]


def written_out(made: Path, images: Sequence[Image.Image]) -> float:
    """The mean score of RGBA images, computed without the project's networks and preprocessing."""
    encoder = CLIPVisionModelWithProjection.from_pretrained(made / "encoder").eval()
    with torch.no_grad():
        embeds = encoder(torch.cat([clip_pixels(image, 32) for image in images])).image_embeds
    return sum(score_of(row, head_state()) for row in embeds) / len(images)


def rows_of(path: Path) -> dict[str, tuple[float | None, int]]:
    table = pq.read_table(path).to_pylist()
    return {row["uid"]: (row["aesthetic_score"], row["images"]) for row in table}


@pytest.fixture
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a command whose profile has one process."""
    text = (ROOT / "infra/profiles/ci.yaml").read_text()
    (tmp_path / "one.yaml").write_text(text.replace("pool: ray", "pool: serial").replace("retries: 2", "retries: 0"))
    monkeypatch.setenv("MVDPP_PROFILE", str(tmp_path / "one.yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("serial")
def test_command_scores_each_object_by_the_mean_of_its_views(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = options_of(made, made / "views", tmp_path / "scores.parquet")
    assert main(words_of(options)) == 0
    assert "5 of 5 objects have a score" in capsys.readouterr().out
    rows, views = rows_of(options.out), ViewSet.open(made / "views")
    assert [*rows] == views.uids
    for uid, (score, count) in rows.items():
        names = looked_at([name for name in views.image_names(uid) if name.startswith("t")], 4)
        images = [Image.fromarray(views.image(uid, name)) for name in names]
        assert score == pytest.approx(written_out(made, images), abs=1e-5)
        assert count == 4
    assert len({score for score, _ in rows.values()}) == 5
    known = pq.read_schema(options.out).metadata
    assert {key: known[key] for key in (b"encoder", b"head", b"precision")} == {
        b"encoder": b"encoder",
        b"head": b"head.pth",
        b"precision": b"fp32",
    }
    assert len(known[b"encoder_sha256"]) == len(known[b"head_sha256"]) == 64
    assert main(words_of(options)) == 2
    assert "scores.parquet exists" in capsys.readouterr().err


def test_scores_are_a_table_of_the_catalog(made: Path, tmp_path: Path) -> None:
    options = options_of(made, made / "views", tmp_path / "scores.parquet")
    write_scores(options, make_tools(tmp_path))
    (tmp_path / "in").mkdir()
    for uid in ("o0", "o1", "unseen"):
        (tmp_path / "in" / f"{uid}.glb").touch()
    config = catalog_config(source="folder", folder=str(tmp_path / "in"), scores=str(options.out))
    make_catalog(config, 0, tmp_path / "catalog", make_tools(tmp_path))
    found = {entry.uid: entry.score for entry in read_entries(tmp_path / "catalog" / "objects.parquet")}
    rows = rows_of(options.out)
    assert found == {"o0": rows["o0"][0], "o1": rows["o1"][0], "unseen": None}
    facts = open_manifest(tmp_path / "catalog", Kind.CATALOG).facts["scores"]
    assert [(row["table"], row["matched"], row["column"]) for row in facts] == [("scores.parquet", 2, "score")]


def test_command_that_failed_at_a_shard_goes_on_there(made: Path, tmp_path: Path) -> None:
    views = write_small_views(tmp_path, num_objects=5)
    options, tools = options_of(made, views, tmp_path / "scores.parquet"), make_tools(tmp_path)
    shard = views / "shard-00001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RuntimeError, match=r"aesthetic-scores: 1 of 3 items failed.*shard-00001.tar"):
        write_scores(options, tools)
    assert not options.out.exists()
    shard.write_bytes(whole)
    write_scores(options, tools)
    assert notes_of(tools) == ["aesthetic-scores: 2 of 3 were finished before, 1 to go"]
    write_scores(options_of(made, views, tmp_path / "new.parquet"), make_tools(tmp_path / "new"))
    assert options.out.read_bytes() == (tmp_path / "new.parquet").read_bytes()


def test_scores_of_other_networks_or_other_views_are_not_taken_up(made: Path, tmp_path: Path) -> None:
    views, tools = write_small_views(tmp_path, num_objects=2), make_tools(tmp_path)
    first = options_of(made, views, tmp_path / "first.parquet")
    write_scores(first, tools)
    write_scores(options_of(made, views, tmp_path / "again.parquet"), tools)
    head = write_head(tmp_path / "other.pth", seed=1)
    write_scores(options_of(made, views, tmp_path / "head.parquet", head=str(head)), tools)
    write_scores(options_of(made, views, tmp_path / "one.parquet", views=1), tools)
    (tmp_path / "more").mkdir()
    write_small_views(tmp_path / "more", num_objects=2, shade=240)
    write_scores(options_of(made, tmp_path / "more" / "views", tmp_path / "shade.parquet"), tools)
    assert len(notes_of(tools)) == 1, "of five commands the second alone found its scores"
    tables = [rows_of(tmp_path / f"{name}.parquet") for name in ("first", "again", "head", "one", "shade")]
    assert tables[0] == tables[1]
    assert len({table["o0"] for table in tables}) == 4


@pytest.mark.slow(seconds=40)
def test_scores_of_one_and_two_worker_processes_are_equal_bytes(made: Path, tmp_path: Path) -> None:
    write_scores(options_of(made, made / "views", tmp_path / "here.parquet"), make_tools(tmp_path / "here"))
    limits = Limits(time_limit=900, recycle_after=100, memory_limit_gb=8)
    for workers in (1, 2):
        folder, out = tmp_path / f"of{workers}", tmp_path / f"of{workers}.parquet"
        with RayPool[Outcome](failed=Failed, workers=workers, limits=limits, log_dir=folder / "logs") as pool:
            write_scores(options_of(made, made / "views", out), make_tools(folder, pool=pool, threads=2))
        assert out.read_bytes() == (tmp_path / "here.parquet").read_bytes()


def jpeg(shade: int, width: int = 64, height: int = 48) -> bytes:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB").point(lambda value: (value + shade) % 256)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """Pictures of two objects, and a page in place of a third."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.jpeg").write_bytes(jpeg(0))
    (folder / "b.jpeg").write_bytes(jpeg(90, 48, 100))
    (folder / "page.jpeg").write_bytes(b"<html>sorry</html>")
    with WebServer(folder) as server:
        yield server


def catalog_with(folder: Path, web: WebServer) -> Path:
    """Objects with a picture, with a page in its place, with an address of nothing, and without an address."""
    files = {"a": "a.jpeg", "b": "b.jpeg", "gone": "gone.jpeg", "page": "page.jpeg", "plain": None}
    rows = [{"uid": uid, "thumbnail": name and f"{web.url}/{name}"} for uid, name in files.items()]
    return catalog_of(folder, rows)


@pytest.mark.usefixtures("serial")
def test_command_scores_the_thumbnails_of_a_catalog_and_leaves_the_others_without_a_score(
    made: Path, tmp_path: Path, web: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = options_of(made, catalog_with(tmp_path, web), tmp_path / "scores.parquet")
    assert main(words_of(options)) == 0
    assert "2 of 5 objects have a score" in (said := capsys.readouterr().out)
    assert "3 have no image that can be read" in said
    expected = {uid: written_out(made, [Image.open(web.folder / f"{uid}.jpeg").convert("RGBA")]) for uid in ("a", "b")}
    assert rows_of(options.out) == {
        "a": (pytest.approx(expected["a"], abs=1e-5), 1),
        "b": (pytest.approx(expected["b"], abs=1e-5), 1),
        "gone": (None, 0),
        "page": (None, 0),
        "plain": (None, 0),
    }
    options.out.unlink()
    asked = len(web.requests)
    assert main(words_of(options)) == 0
    assert len(web.requests) == asked, "what is decided is not asked for again"


def patient(folder: Path) -> Tools:
    return make_tools(folder, store=RemoteStore(attempts=1, backoff=0.01))


def test_thumbnails_that_a_server_would_not_give_now_are_asked_for_the_next_time(
    made: Path, tmp_path: Path, web: WebServer
) -> None:
    options, tools = options_of(made, catalog_with(tmp_path, web), tmp_path / "scores.parquet"), patient(tmp_path)
    web.faults["a.jpeg"] = [Fault(status=500)]
    with pytest.raises(RuntimeError, match="aesthetic-scores: 1 of 4 items failed"):
        write_scores(options, tools)
    write_scores(options, tools)
    assert rows_of(options.out)["a"][1] == 1
    assert web.requests.count("b.jpeg") == 1


def test_few_thumbnails_that_do_not_come_are_said_and_left_without_a_score(
    made: Path, tmp_path: Path, web: WebServer
) -> None:
    rows = [{"uid": f"o{number}", "thumbnail": f"{web.url}/a.jpeg?{number}"} for number in range(4)]
    rows += [{"uid": "busy", "thumbnail": f"{web.url}/b.jpeg"}, {"uid": "gone", "thumbnail": f"{web.url}/gone.jpeg"}]
    for number in range(4):
        (web.folder / f"a.jpeg?{number}").write_bytes(jpeg(number))
    web.faults["b.jpeg"] = [Fault(status=500)]
    options, tools = options_of(made, catalog_of(tmp_path, rows), tmp_path / "scores.parquet"), patient(tmp_path)
    write_scores(options, tools)
    assert [uid for uid, (score, _) in rows_of(options.out).items() if score is None] == ["busy", "gone"]
    failed, rejected = notes_of(tools)
    assert re.search(r"1 thumbnails did not come, such as that of busy: .*; remove the table and give", failed)
    assert re.search(r"1 thumbnails are not to be had, such as that of gone: .*; delete \S+rejected.jsonl", rejected)
    options.out.unlink()
    write_scores(options, tools)
    assert [uid for uid, (score, _) in rows_of(options.out).items() if score is None] == ["gone"]


def test_thumbnails_of_a_server_that_is_gone_are_one_sentence(made: Path, tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, [{"uid": "a", "thumbnail": "http://127.0.0.1:9/a.jpeg"}])
    with pytest.raises(ConnectionError, match=r"the server of the thumbnails does not answer: .* stays"):
        write_scores(options_of(made, catalog, tmp_path / "scores.parquet"), patient(tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder": None}, "give --encoder, CLIP ViT-L/14 .* and --head, usually sac"),
        ({"head": None}, "give --encoder"),
        ({"out": Path("scores.csv")}, "scores.csv does not end in .parquet"),
    ],
)
def test_options_that_do_not_suffice_are_refused_before_anything_is_loaded(
    changes: dict[str, Any], sentence: str
) -> None:
    options = AestheticOptions(
        **{"source": Path("x"), "out": Path("x.parquet"), "encoder": "e", "head": "h", **changes}
    )
    with pytest.raises(ValueError, match=sentence):
        check_options(options)


def test_sources_without_images_are_refused(made: Path, tmp_path: Path) -> None:
    out, tools = tmp_path / "scores.parquet", make_tools(tmp_path)
    catalog = tmp_path / "catalog"
    write_entries(catalog / "objects.parquet", [Entry("a", "a", None, "", "", "")])
    seal(catalog, Kind.CATALOG, config=LOOP, inputs={})
    with pytest.raises(ValueError, match="none of the catalog's 1 objects has the address of a thumbnail; render"):
        write_scores(options_of(made, catalog, out), tools)
    seal(catalog, Kind.OBJECTS, config=LOOP, inputs={})
    with pytest.raises(ValueError, match="holds 'objects'; give a view set or a catalog"):
        write_scores(options_of(made, catalog, out), tools)
    with pytest.raises(ValueError, match=r"nowhere has no manifest.json"):
        write_scores(options_of(made, tmp_path / "nowhere", out), tools)


def test_networks_of_a_hub_are_pinned_and_named_in_the_table(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = shutil.copytree(made / "encoder", tmp_path / "repository")
    shutil.copy(made / "head.pth", repository / "head.pth")
    out = tmp_path / "scores.parquet"
    with served(repository) as url:
        ask(url, tmp_path / "cache", monkeypatch)
        options = options_of(made, made / "views", out, encoder="owner/name", head=f"owner/name@{COMMIT}/head.pth")
        write_scores(options, make_tools(tmp_path))
    assert pq.read_schema(out).metadata[b"encoder"].decode() == f"owner/name@{COMMIT}"
    write_scores(options_of(made, made / "views", tmp_path / "folder.parquet"), make_tools(tmp_path))
    assert rows_of(out) == rows_of(tmp_path / "folder.parquet")
    hashes = [pq.read_schema(path).metadata for path in (out, tmp_path / "folder.parquet")]
    assert hashes[0][b"encoder_sha256"] == hashes[1][b"encoder_sha256"]
    assert hashes[0][b"head_sha256"] == hashes[1][b"head_sha256"]


def test_scores_that_are_no_numbers_stop_the_command(made: Path, tmp_path: Path) -> None:
    torch.save(head_state() | {"layers.7.bias": torch.tensor([float("nan")])}, tmp_path / "head.pth")
    options = options_of(made, made / "views", tmp_path / "scores.parquet", head=str(tmp_path / "head.pth"))
    with pytest.raises(RuntimeError, match=r"the score of o.'s t.. is nan; the weights of the predictor are broken"):
        write_scores(options, make_tools(tmp_path))
