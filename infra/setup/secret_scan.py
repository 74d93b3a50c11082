"""Looks for secrets in files that are to be committed: `python -m infra.setup.secret_scan FILE ...`, for pre-commit.

It knows the forms of keys that services give out; it needs no network and no package. A line that is meant to look like
a secret says `not-a-secret`, with the reason.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FORMS = {
    "a key of Amazon's": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}\b",
    "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})\b",
    "a key of Prefect's": r"\bpn[ub]_[A-Za-z0-9]{30,}\b",
    "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{10,}\b",
    "a key of Google's": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]+:[^\s/:@'\"{}$<>]{3,}@\w[\w.-]*",
    "a key of a cloud": r"(?i)\b(?:aws_secret_access_key|secret_key|api_key)\s*[:=]\s*['\"]?[A-Za-z0-9/+]{32,}",
}
ALLOWED = "not-a-secret"
LARGEST = 2_000_000
"""Bytes of a file that is looked at; larger ones are not committed."""


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and kind of everything in a text that looks like a secret, without the secret."""
    for number, line in enumerate(text.splitlines(), 1):
        if ALLOWED not in line:
            yield from ((number, kind) for kind, form in FORMS.items() if re.search(form, line))


def main(names: list[str]) -> int:
    """Return 1 when a file holds a secret, after naming the places on stderr."""
    found = [
        f"{name}:{number}: {kind}; take it out, and revoke it if it was ever pushed"
        for name in names
        if Path(name).is_file() and Path(name).stat().st_size <= LARGEST
        for number, kind in secrets_in(Path(name).read_text(encoding="utf-8", errors="replace"))
    ]
    sys.stderr.write("".join(line + "\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
