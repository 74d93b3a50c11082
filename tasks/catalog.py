"""Stage catalog: which objects there are, and how good each looks (sec. 5.1). Downloads no object."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import MANIFEST, Kind, seal
from tasks.artifacts.tables import OBJECTS, Entry, write_entries
from tasks.config import CatalogConfig
from tasks.ports import Tools
from tasks.sources.aesthetic_scores import load_scores
from tasks.sources.registry import open_source


def make_catalog(config: CatalogConfig, seed: int, out: Path, tools: Tools) -> None:
    """List the objects of the source in `out/objects.csv`.

    Args:
        config: The section `catalog`; a table that its `scores` names replaces the scores of the source.
        seed: Decides which objects are listed where there are more than `max_objects`.
        out: Becomes the sealed catalog.
        tools: Of the stage.

    Raises ValueError for a source or table that cannot be used, OSError for one that cannot be reached.
    """
    entries = open_source(config, seed, tools).entries()
    if config.scores is not None:
        entries = _scored(entries, config.scores, tools)
    scored = sum(entry.score is not None for entry in entries)
    tools.progress.note(f"catalog: {len(entries)} objects from source {config.source}, {scored} with a score")
    tools.tracker.metrics({"objects": len(entries), "scored": scored})
    (out / MANIFEST).unlink(missing_ok=True)
    write_entries(out / OBJECTS, entries)
    content = sha256_of(out / OBJECTS)
    facts = {"objects": len(entries), "scored": scored}
    seal(out, Kind.CATALOG, config=config, inputs={"seed": str(seed), "objects": content}, facts=facts)


def _scored(entries: Sequence[Entry], table: str, tools: Tools) -> list[Entry]:
    scores = load_scores(table, tools)
    if not any(entry.uid in scores for entry in entries):
        raise ValueError(
            f"{table} scores {len(scores)} objects, none of them in the catalog (such as {entries[0].uid}): "
            "catalog.scores must belong to catalog.source"
        )
    return [replace(entry, score=scores.get(entry.uid)) for entry in entries]
