"""Names of files as other files hold them: written elsewhere, they may be no names that a file can have here."""

import unicodedata
from pathlib import Path

MAX_SHOWN = 80
"""Letters of a name that a sentence shows."""


def leads_to_file(path: Path) -> bool:
    """Tell whether a path leads to a file; one that is longer than paths can be does not."""
    try:
        return path.is_file()
    except OSError:
        return False


def folded(name: str) -> str:
    """Return what names of files are equal by that differ in the case of letters, or in how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()


def shown_name(name: str) -> str:
    """Return a name for a sentence; of one that is too long, such as data in its place, the beginning."""
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
