"""Read back by WebDataset itself, or by its rule that a name is split at its first dot."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.artifacts.views import ViewSet
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import export, our_pixel, seen_by_opencv
from tests.tasks.small_views import SIDE, cameras_of, write_small_views


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tasks.commands.export.batches.OBJECTS_PER_FILE", 2)
    views = write_small_views(tmp_path, num_objects=4)
    settings = export(Source.open(views), "webdataset", tmp_path / "out")
    assert settings == "train-{000000..000001}.tar, val-{000000..000000}.tar"
    return tmp_path / "out"


def samples(path: Path) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, field = member.name.partition(".")
            content = tar.extractfile(member)
            assert content is not None
            found.setdefault(key, {})[field] = content.read()
    return found


def check(sample: dict[str, bytes], number: int, views: Path) -> None:
    for camera in cameras_of(number):
        image = np.array(Image.open(io.BytesIO(sample[f"{camera.name}.png"])))
        np.testing.assert_array_equal(image, ViewSet.open(views).image(f"o{number}", camera.name))
        facts = json.loads(sample[f"{camera.name}.json"])
        assert facts["width"] == facts["height"] == SIDE
        extrinsics, intrinsics = np.array(facts["extrinsics"]), np.array(facts["intrinsics"])
        assert extrinsics.shape == (4, 4)
        assert seen_by_opencv(extrinsics, intrinsics) == pytest.approx(our_pixel(camera, SIDE))


def test_webdataset_a_sample_is_an_object_with_its_views_and_cameras(exported: Path) -> None:
    assert {path.name: list(samples(path)) for path in sorted(exported.glob("*.tar"))} == {
        "train-000000.tar": ["o0", "o1"],
        "train-000001.tar": ["o2"],
        "val-000000.tar": ["o3"],
    }
    check(samples(exported / "train-000001.tar")["o2"], 2, exported.parent / "views")
    facts = json.loads(samples(exported / "val-000000.tar")["o3"]["json"])
    assert facts == {"uid": "o3", "split": "val", "title": None, "license": None}


def test_webdataset_the_library_groups_and_decodes_the_samples(exported: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    shards = webdataset.WebDataset(str(exported / "train-{000000..000001}.tar"), shardshuffle=False)
    raw = list(shards)
    assert [sample["__key__"] for sample in raw] == ["o0", "o1", "o2"]
    check(raw[1], 1, exported.parent / "views")
    decoded = next(iter(shards.decode("pil")))
    assert decoded["t00.png"].size == (SIDE, SIDE)
    assert decoded["t00.json"]["view"] == "t00"


def test_webdataset_index_counts_and_hashes_every_shard(exported: Path) -> None:
    index = json.loads((exported / "shards-train.json").read_text())
    assert (index["__kind__"], index["wids_version"], index["name"]) == ("wids-shard-index-v1", 1, "train")
    assert [row["nsamples"] for row in index["shardlist"]] == [2, 1]
    for row in index["shardlist"]:
        content = (exported / row["url"]).read_bytes()
        assert row["filesize"] == len(content)
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
