"""Which Unicode encoding a text file says that it has."""

import json

MARKED = {"utf-8-sig", "utf-16", "utf-32"}
"""Encodings with a byte order mark; for a text without one json guesses others by its zeros."""


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding, which takes the byte order mark away, of a text that begins with one; None for others."""
    encoding = json.detect_encoding(head)
    return encoding if encoding in MARKED else None
