"""Finds the other files that an object's file needs, by the rules by which rendering finds them."""

import os
from collections.abc import Iterator
from pathlib import Path

from render import gltf
from render.errors import Unrenderable
from render.named_files import leads_to_file
from render.obj.links import read_links
from render.obj.lookup import named_file
from render.obj.text import read_text
from tasks.sources.mentioned_files import mentioned_files


def side_files(main: Path, root: Path) -> dict[Path, Path]:
    """Return the files that `main` refers to, as the renderer finds them, by the place of their copies.

    A place is a path as if copies lay where their originals do; it differs from the original's where an absolute path
    leads to it. Names that lead to nothing are left out: the renderer reports what is missing. A file that cannot be
    read refers to nothing.

    Args:
        main: Absolute path of an object's file.
        root: Folder outside which nothing is copied.

    Raises FileNotFoundError when a name leads out of `root`, when a copy could not tell two names apart, or when a
    glTF file has an absolute one.
    """
    files: dict[Path, Path] = {}
    places: dict[Path, Path] = {}
    folder = os.path.normpath(root.absolute())
    for path, place in _references(main):
        if not path.is_relative_to(folder) or not place.is_relative_to(folder):
            raise FileNotFoundError(f"refers to {path}, which lies outside catalog.folder: move it into {root}")
        if files.setdefault(place, path) != path:
            raise FileNotFoundError(f"names {path} and {files[place]} by absolute paths: make them relative")
        if places.setdefault(path, place) != place:
            raise FileNotFoundError(f"names {path} by a relative and by an absolute path: make both relative")
    files.pop(main, None)
    return dict(sorted(files.items()))


def files_beside(main: Path, root: Path) -> tuple[Path, ...]:
    """Return the files that an object needs which is rendered in place; none where a copy of it could not have them.

    Args:
        main: Path of an object's file.
        root: Folder outside which no file is looked for.
    """
    try:
        return tuple(side_files(main.absolute(), root).values())
    except FileNotFoundError:
        return ()


def _references(main: Path) -> Iterator[tuple[Path, Path]]:
    kind = main.suffix.lower()
    if kind == ".obj":
        yield from _of_obj(main)
    elif kind in (".glb", ".gltf"):
        for name in gltf.file_names(main):
            path = Path(os.path.normpath(named_file(main, name)))
            is_there = leads_to_file(path)
            if is_there and path == Path(name) and not path.is_relative_to(main.parent):
                raise FileNotFoundError(f"names {path} by an absolute path, which a copy loses: make it relative")
            if is_there:
                yield path, path
    else:
        for path in mentioned_files(main):
            place = Path(os.path.normpath(path))
            yield place, place


def _of_obj(main: Path) -> Iterator[tuple[Path, Path]]:
    try:
        links = read_links(main, read_text(main).content)
    except Unrenderable:  # the renderer says why
        return
    yield from ((found.path, found.place) for found in links.files())
