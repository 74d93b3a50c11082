"""Members of a plain tar (USTAR) as bytes, fifteen times as fast as tarfile, which is what 180,000 objects of 43 need.

Equal to what tarfile writes for a `TarInfo` that has a name and a size alone; a test compares them.
"""

import tarfile
from collections.abc import Iterator

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""What follows the last member, before the tar is filled up to whole records."""
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)
_HEADER = tarfile.TarInfo("").tobuf(tarfile.USTAR_FORMAT)
_SUM = sum(_HEADER) - sum(_HEADER[_CHECKSUM]) - sum(_HEADER[_SIZE]) + sum(b" " * 8)
"""Sum of a header's bytes without name and size, its own field counted as blanks."""


def header(name: str, size: int) -> bytes:
    """Return the header of a member.

    Args:
        name: At most 100 bytes.
        size: Of its content, below 8 GiB.
    """
    encoded, digits = name.encode(), b"%011o\0" % size
    assert len(encoded) <= _NAME.stop, f"{name} is too long for a tar's header"
    assert len(digits) == _SIZE.stop - _SIZE.start, f"{name} is too large for a tar: {size} bytes"
    checksum = b"%06o\0 " % (_SUM + sum(encoded) + sum(digits))
    return b"".join((encoded.ljust(100, b"\0"), _HEADER[100:124], digits, _HEADER[136:148], checksum, _HEADER[156:]))


def filling(size: int, whole: int = BLOCK) -> bytes:
    """Return the zeros that fill `size` bytes up to whole blocks, or to units of `whole` bytes."""
    return bytes(-size % whole)


def members_of(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each member of a tar that consists of what `header` makes.

    Raises ValueError when it is cut short.
    """
    position = 0
    while content[position : position + 1] != b"\0":
        head = content[position : position + BLOCK]
        if len(head) < BLOCK:
            raise ValueError("the tar is cut short")
        size = int(head[_SIZE].rstrip(b"\0 "), 8)
        first = position + BLOCK
        if first + size > len(content):
            raise ValueError("the tar is cut short")
        yield head[_NAME].rstrip(b"\0").decode(), content[first : first + size]
        position = first + size + len(filling(size))
