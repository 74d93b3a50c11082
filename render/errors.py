"""The error for an object that cannot be rendered, with a reason in words that a user understands."""

import re

from render.named_files import shown_name

EXTENSION = re.compile(r"Extension (\S+) is not available")
MISSING = re.compile(r"Missing resource, '([^']*)'")
EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:[Ee]rror|Exception|Interrupt|Exit)\b.*", re.MULTILINE)
CONSOLE = re.compile(r"\s*\(see Blender Console\)|,? see console for details?\.?", re.IGNORECASE)
"""What an importer says of a window that nobody has here."""
MAX_REASON = 300
"""Letters of what an importer says: it repeats names, in the place of which a file may hold megabytes of data."""


class Unrenderable(ValueError):  # noqa: N818  (it says what the object is, not what the program did)
    """An object that cannot be rendered, whatever the machine; the message is the reason in one sentence."""


def importer_reason(message: str) -> str:
    """Return the reason in what Blender's importer raised, on one line without Blender's prefixes and stack frames."""
    extension = EXTENSION.search(message)
    if extension:
        return f"needs the extension {extension[1]}, which Blender's importer does not know; export the file without it"
    missing = MISSING.search(message)
    if missing:
        return f"the buffer '{shown_name(missing[1])}' is missing: put it where the file names it"
    exceptions = EXCEPTION.findall(message) if "Traceback" in message else []
    reason = exceptions[-1] if exceptions else message.removeprefix("Error:")
    words = " ".join(CONSOLE.sub("", reason).split()) or "no reason given"
    return f"Blender's importer refused the file: {words if len(words) <= MAX_REASON else words[:MAX_REASON] + '...'}"
