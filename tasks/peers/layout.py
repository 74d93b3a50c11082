"""What a layout is: which files of a folder show which view, by which camera, and what of it can be compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from render.cameras import Camera
from render.images import Rgba
from tasks.peers.cameras import PeerCamera
from tasks.peers.frames import Frame


@dataclass(frozen=True)
class Request:
    """One object of a test set whose predictions are wanted."""

    folder: Path
    """The peer's folder of predictions."""
    uid: str
    given: Camera
    """The first condition view, from which peers count azimuths."""
    scored: Sequence[Camera]
    """The true views that the test set's protocol scores, in its order."""
    radius: float | None = None
    """Of the sphere about the origin that encloses the true mesh; None where there is no true mesh."""
    sample: int = 0
    """Which of several samples of one object, for layouts that have them."""

    def file(self, *patterns: str, **values: object) -> Path:
        """Return the first of some files that exists; {uid}, {sample} and `values` are filled in.

        Raises ValueError when there is none.
        """
        names = [pattern.format(uid=self.uid, sample=self.sample, **values) for pattern in patterns]
        present = next((name for name in names if (self.folder / name).is_file()), None)
        if present is None:
            raise ValueError(f"{self.uid} is incomplete: {self.folder} has no {' and no '.join(names)}")
        return self.folder / present


@dataclass(frozen=True)
class PeerView:
    """One predicted view."""

    camera: PeerCamera
    rgba: Rgba
    """uint8 (H, H, 4), straight alpha."""


Reader = Callable[[Request], list[PeerView]]
"""Reads the views of one object. Raises ValueError, which names what is missing or mis-shaped."""


@dataclass(frozen=True)
class Layout:
    """A row of the table of layouts."""

    name: str
    """As the command line has it."""
    title: str
    """As tables show it."""
    files: str
    """What the folder must hold, in one phrase."""
    cameras: str
    """Whence the views are seen, in one phrase."""
    compared: str
    """What of it is scored, in one phrase."""
    source: str
    """Where the layout is defined."""
    views: Reader | None = None
    """None: it has meshes, or scenes without a truth."""
    frame: Frame | None = None
    """Frame of its meshes; None: it has views."""
    fits_scale: bool = False
    """Whether the scale of the views is unknown, so that masks are compared after one common scale per object."""
