"""Unpacks gzip-compressed files up to a size: a megabyte may hold a gigabyte of zeros."""

import gzip
import io
import zlib

MAX_BYTES = 2 * 10**9
"""Of a table; a row for each of the ten million objects of Objaverse-XL takes less."""
CHUNK = 1 << 20


def gunzip(content: bytes, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what is in a gzip file.

    Raises ValueError when it is not a whole one, or holds more than `max_bytes`.
    """
    found = io.BytesIO()
    try:
        with gzip.open(io.BytesIO(content)) as file:
            while chunk := file.read(CHUNK):
                if found.tell() + len(chunk) > max_bytes:
                    raise ValueError(f"holds more than the {max_bytes} bytes that are unpacked")
                found.write(chunk)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"is not a whole gzip file ({error}); fetch it again") from error
    return found.getvalue()
