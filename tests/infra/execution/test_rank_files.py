"""The folder of a training, which rank 0 writes on a node and the stage reads on its own disk."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.execution.parcels import NodePlace, Parcel, below
from infra.execution.rank_files import RankFiles, StageFiles
from infra.storage.blob_store import BlobStore


@dataclass(frozen=True)
class Both:
    """The two ends; `folder` and `there` are the same folder as each sees it."""

    folder: Path
    there: Path
    rank: RankFiles
    stage: StageFiles
    store: BlobStore

    def exchange(self) -> None:
        self.rank.send()
        self.stage.exchange()

    def stored(self) -> list[str]:
        """The contents of all files in the store that ranks have sent."""
        files = (path for path in (Path(self.store.url) / "results").rglob("*") if path.is_file())
        return sorted(path.read_text() for path in files if path.suffix != ".json")


@pytest.fixture
def both(tmp_path: Path) -> Both:
    folder = tmp_path / "work"
    (folder / "signals").mkdir(parents=True)
    (folder / "samples-1.pt").write_text("first")
    store = BlobStore(str(tmp_path / "store"), None, attempts=1)
    parcel = Parcel(
        uid="training",
        content=b"",
        reads={str(folder / "samples-1.pt"): store.put(folder / "samples-1.pt")},
        writes=[str(folder)],
        root=str(tmp_path),
        results="results/0",
        place=NodePlace(store, str(tmp_path / "node"), 10**9),
    )
    tree = tmp_path / "tree"
    there = below(tree, str(folder))
    (there / "signals").mkdir(parents=True)
    (there / "samples-1.pt").write_text("first")
    rank = RankFiles(parcel, tree, folder / "signals")
    rank.remember()
    return Both(folder, there, rank, StageFiles(parcel, folder / "signals"), store)


def test_file_that_is_written_arrives_and_one_that_came_along_is_not_sent(both: Both) -> None:
    (both.there / "samples-2.pt").write_text("second")
    (both.there / ".samples-3.part").write_text("half")
    both.exchange()
    assert {path.name for path in both.folder.glob("*.p*")} == {"samples-1.pt", "samples-2.pt"}
    assert both.stored() == ["second"]


def test_file_that_is_removed_there_is_removed_here_and_in_the_store(both: Both) -> None:
    (both.there / "samples-2.pt").write_text("second")
    both.exchange()
    (both.there / "samples-1.pt").unlink()
    (both.there / "samples-2.pt").unlink()
    (both.there / "samples-3.pt").write_text("third")
    both.exchange()
    assert [path.name for path in both.folder.glob("*.pt")] == ["samples-3.pt"]
    assert both.stored() == ["third"]


def test_reports_grow_under_whoever_reads_them(both: Both) -> None:
    (both.folder / "reports.jsonl").touch()
    with (both.folder / "reports.jsonl").open() as reader:
        for text in ("one\n", "two\n"):
            with (both.there / "reports.jsonl").open("a") as writer:
                writer.write(text)
            both.exchange()
            assert reader.read() == text


def test_end_is_seen_after_the_reports_and_those_after_their_files(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("end.json", "drawn.png", "reports.jsonl", "samples-2.pt"):
        (both.there / name).write_text(name)
    both.rank.send()
    order: list[str] = []
    get = BlobStore.get

    def noted(self: BlobStore, blob: object, target: Path) -> None:
        order.append(target.name)
        get(self, blob, target)  # type: ignore[arg-type]

    monkeypatch.setattr(BlobStore, "get", noted)
    both.stage.exchange()
    assert sorted(order[:2]) == ["drawn.png", "samples-2.pt"]
    assert order[2:] == ["reports.jsonl", "end.json"]


@pytest.mark.slow(seconds=4)
def test_signal_of_the_stage_reaches_the_rank_while_it_works(both: Both) -> None:
    with both.rank.kept_alike(), both.stage.kept_alike():
        (both.folder / "signals" / "stop").touch()
        for _ in range(200):
            if (both.there / "signals" / "stop").exists():
                break
            time.sleep(0.05)
    assert (both.there / "signals" / "stop").exists()
    assert not (both.there / "signals" / "end.json").exists()


def test_rank_that_begins_again_elsewhere_has_what_was_sent(both: Both, tmp_path: Path) -> None:
    (both.there / "samples-2.pt").write_text("second")
    (both.there / "end.json").write_text("{}")
    both.rank.send()
    large, small = (RankFiles(both.rank.parcel, tmp_path / name, both.folder) for name in ("large", "small"))
    large.restore()
    small.restore(largest=5)
    assert below(tmp_path / "large", f"{both.folder}/samples-2.pt").read_text() == "second"
    found = {path.name for path in (tmp_path / "small").rglob("*") if path.is_file()}
    assert found == {"samples-1.pt", "end.json"}, "only rank 0 needs checkpoints"


def test_nothing_is_left_in_the_store_at_the_end(both: Both) -> None:
    with both.stage.kept_alike():
        (both.there / "samples-2.pt").write_text("second")
        both.rank.send()
    assert (both.folder / "samples-2.pt").read_text() == "second"
    assert both.stored() == []
