"""Why an object cannot be used, in words a user understands."""

import re

EXTENSION = re.compile(r"Extension (\S+) is not available")
EXCEPTION = re.compile(r"^\w+(?:\.\w+)*(?:Error|Exception|Interrupt|Exit)\b.*", re.MULTILINE)


class Unrenderable(ValueError):  # noqa: N818  (it says what the object is, not what the program did)
    """The object itself cannot be used; the message is the reason in one sentence."""


def importer_reason(message: str) -> str:
    """The reason inside what Blender's importer raised: one line, without Blender's prefixes and stack frames."""
    extension = EXTENSION.search(message)
    if extension:
        return f"needs the extension {extension[1]}, which Blender's importer does not know"
    exceptions = EXCEPTION.findall(message) if "Traceback" in message else []
    reason = exceptions[-1] if exceptions else message.removeprefix("Error:")
    return f"Blender's importer refused the file: {' '.join(reason.split()) or 'no reason given'}"
