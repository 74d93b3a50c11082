"""Reads the members of one large JSON object one after the other, without holding the whole of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

CHUNK = 1 << 22
"""Characters that are read at once."""
MAX_MEMBER = 1 << 27
"""Characters of the longest member; a file without an end would fill the memory."""
_BLANK = " \t\n\r"


def json_members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each member of the JSON object in a file.

    Raises ValueError, with the place, for what is no JSON object, after the members before it.
    """
    with path.open(encoding="utf-8") as file:
        text = _Text(file)
        text.expect("{")
        if text.peek() == "}":
            text.expect("}")
        else:
            yield from _members(text)
        if text.peek():
            raise ValueError(f"something follows the object at character {text.place}")


def _members(text: "_Text") -> Iterator[tuple[str, Any]]:
    while True:
        name = text.value()
        if not isinstance(name, str):
            raise ValueError(f"a member before character {text.place} has no name")
        text.expect(":")
        yield name, text.value()
        if text.expect(",}") == "}":
            return


class _Text:
    """A file's text, of which no more is held than the value that is being read."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._held = ""
        self._at = 0
        self._before = 0
        self._decoder = json.JSONDecoder()

    @property
    def place(self) -> int:
        """Character at which the rest begins."""
        return self._before + self._at

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def expect(self, characters: str) -> str:
        """Pass over one of some characters and return it."""
        found = self.peek()
        if not found or found not in characters:
            raise ValueError(
                f"expected {' or '.join(characters)} at character {self.place}, found {found or 'the end'}"
            )
        self._at += 1
        return found

    def value(self) -> Any:
        """Pass over a value and return it."""
        self.peek()
        while True:
            before, start = self._before, self._at
            try:
                found, end = self._decoder.raw_decode(self._held, start)
            except json.JSONDecodeError as error:
                if len(self._held) - start > MAX_MEMBER or not self._more():
                    raise ValueError(f"{error.msg} at character {before + error.pos}") from error
                continue
            is_ended = end < len(self._held) and self._held[end] in ",:}" + _BLANK
            if not is_ended and self._more():  # a number may go on
                continue
            self._at += end - start
            return found

    def _more(self) -> bool:
        """Read on; return whether there was anything."""
        chunk = self._file.read(CHUNK)
        if not chunk:
            return False
        self._before += self._at
        self._held = self._held[self._at :] + chunk
        self._at = 0
        return True
