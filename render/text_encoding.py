"""Which Unicode encoding a text file says that it has."""

import codecs

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, which it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding, which takes the byte order mark away, of a text that begins with one; None for others."""
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)
