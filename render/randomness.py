"""Turns names into numbers, so that every random choice depends on what it is for and on nothing else."""

import hashlib


def hashed_bits(num_bits: int, *names: str | int) -> int:
    """Return an integer in [0, 2^num_bits) that depends on `names` only: the first bits of their SHA-256."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") >> (256 - num_bits)
