"""What an export reads: the objects of a sealed view set, one at a time, and what is known of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from render.cameras import Camera
from render.passes import Floats
from render.views import ViewKind
from tasks.artifacts.tables import OBJECTS, ObjectFile, read_objects
from tasks.artifacts.views import Image, ViewSet

THREADS = 8
"""Threads that read views, which are decoded to see that they are whole: most of it goes without Python's lock."""


@dataclass(frozen=True)
class PosedImage:
    """One view as a file, with its camera."""

    camera: Camera
    side: int
    """Of the image, in pixels."""
    png: bytes
    """RGBA, straight alpha."""


@dataclass(frozen=True)
class Source:
    """The objects and views that an export is asked for. Open it with `Source.open`."""

    views: ViewSet
    uids: Sequence[str]
    kind: ViewKind | None
    """The only kind of view that is exported; None: all views."""
    known: Mapping[str, ObjectFile] = field(default_factory=dict)
    """What the table of objects says, by uid: title and licence."""

    @classmethod
    def open(
        cls, folder: Path, uids: Iterable[str] = (), kind: ViewKind | None = None, objects: Path | None = None
    ) -> "Source":
        """Open a view set.

        Args:
            folder: A sealed view set.
            uids: The objects; all of them where it is empty.
            kind: The only kind of view that is wanted.
            objects: Folder whose `objects.parquet` has titles and licences, such as data/objects.

        Raises ValueError when `folder` is not sealed, when it has no such object, when one has no view of the kind, or
        when `objects` has no table.
        """
        views = ViewSet.open(folder)
        present = views.uids
        chosen = sorted(set(uids)) or present
        unknown = sorted(set(chosen) - set(present))
        if unknown:
            raise ValueError(f"{folder} has no object {unknown[0]}; it has {len(present)}, such as {present[0]}")
        if objects and not (objects / OBJECTS).exists():
            raise ValueError(f"{objects} has no {OBJECTS}; name the folder that the stage download made")
        known = {row.uid: row for row in read_objects(objects / OBJECTS)} if objects else {}
        source = cls(views, chosen, kind, known)
        empty = next((uid for uid in chosen if kind and not source.cameras(uid)), None)
        if empty and kind:
            raise ValueError(
                f"{empty} has no {kind.name.lower()} views; leave out --kind, or choose the object with --uid"
            )
        return source

    def cameras(self, uid: str) -> list[Camera]:
        """Return the cameras of the views of an object that are exported, in the order of the view set."""
        return self.views.cameras(uid, self.kind)

    def image(self, uid: str, camera: Camera) -> Image:
        """Read a view: uint8 (H, W, 4), straight alpha."""
        return self.views.image(uid, camera.name)

    def files(self, uid: str, cameras: Sequence[Camera]) -> Iterator[PosedImage]:
        """Yield some views of an object as PNG files, in the order of `cameras`."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="png") as threads:
            yield from threads.map(partial(self._file, uid), cameras)

    def _file(self, uid: str, camera: Camera) -> PosedImage:
        content, image = self.views.file(uid, camera.name)
        return PosedImage(camera, len(image), content)

    def has(self, uid: str, view: str, kind: Literal["depth", "normal"]) -> bool:
        """Whether a view was rendered with a depth or normal map."""
        return f"{view}.{kind}.png" in self.views.reader.names(uid)

    def depth(self, uid: str, view: str) -> Floats:
        """Read a depth map: float32 (H, W), world units; 0 where there is no surface."""
        return self.views.depth(uid, view)

    def normal(self, uid: str, view: str) -> Floats:
        """Read a normal map: float32 (H, W, 3), unit vectors in world space; 0 where there is no surface."""
        return self.views.normal(uid, view)

    def split(self, uid: str) -> str:
        """Return the part of the data set that an object belongs to: train, val, or test where the set has no split."""
        return str(self._splits.get(uid, "test"))

    @cached_property
    def _splits(self) -> Mapping[str, str]:
        return self.views.facts("split")

    def by_split(self) -> dict[str, list[str]]:
        """Return the objects of each split, sorted."""
        parts: dict[str, list[str]] = {}
        for uid in self.uids:
            parts.setdefault(self.split(uid), []).append(uid)
        return dict(sorted(parts.items()))

    def seen_and_held_out(self) -> tuple[list[str], list[str]]:
        """Return the objects that a training may see, and those that are held out."""
        held = [uid for uid in self.uids if self.split(uid) == "val"]
        return [uid for uid in self.uids if self.split(uid) != "val"], held
