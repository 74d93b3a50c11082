"""The layouts that view sets are exported in, and the one function that exports."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.artifacts.manifest import fingerprint
from tasks.commands.export.huggingface import huggingface_settings, write_huggingface
from tasks.commands.export.instantmesh import instantmesh_settings, write_instantmesh
from tasks.commands.export.nerf import write_nerf
from tasks.commands.export.pieces import resumable_folder
from tasks.commands.export.source import Source
from tasks.commands.export.syncdreamer import syncdreamer_settings, write_syncdreamer
from tasks.commands.export.webdataset import webdataset_settings, write_webdataset
from tasks.commands.export.zero123 import write_zero123, zero123_settings
from tasks.outcome import Done
from tasks.ports import Progress


@dataclass(frozen=True)
class ExportLayout:
    """One layout."""

    write: Callable[[Source, Path], Iterator[str]]
    """Write the objects that are not there yet, then what lists them; yield each object."""
    settings: Callable[[Source], str]
    """Return what a reader must be told of the data; raise ValueError where the layout cannot hold them."""


LAYOUTS = {
    "nerf": ExportLayout(write_nerf, lambda _: "one transforms.json an object"),
    "instantmesh": ExportLayout(write_instantmesh, instantmesh_settings),
    "zero123": ExportLayout(write_zero123, zero123_settings),
    "syncdreamer": ExportLayout(write_syncdreamer, syncdreamer_settings),
    "webdataset": ExportLayout(write_webdataset, webdataset_settings),
    "huggingface": ExportLayout(write_huggingface, huggingface_settings),
}


def layout_named(name: str) -> ExportLayout:
    """Return a layout.

    Raises ValueError when there is none of the name.
    """
    if name not in LAYOUTS:
        raise ValueError(f"layout {name!r} is none of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def export_views(source: Source, layout: str, out: Path, progress: Progress) -> str:
    """Write a view set to a new folder in a layout of other tools; interrupted, it goes on by the same call.

    Args:
        source: The objects and views.
        layout: A name of LAYOUTS.
        out: The folder to make; it appears whole or not at all.
        progress: Counts the objects.

    Returns what a reader must be told of the data. Raises ValueError when there is no such layout, when it cannot hold
    the views, when `out` exists, or when `OUT.part` is the unfinished work of another export.
    """
    chosen = layout_named(layout)
    settings = chosen.settings(source)
    record = {
        "layout": layout,
        "views": source.views.manifest.fingerprint,
        "kind": source.kind.name.lower() if source.kind else "all",
        "objects": len(source.uids),
        "fingerprint": fingerprint(
            {"uids": list(source.uids), "known": {uid: [row.title, row.license] for uid, row in source.known.items()}}
        ),
    }
    with resumable_folder(out, record) as part, progress.items("export", len(source.uids)) as show:
        for uid in chosen.write(source, part):
            show(Done(uid))
    return settings
