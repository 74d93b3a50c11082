"""What an address tells: whether it leads to this machine, and the secrets in it. Standard library only."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Names by which a machine reaches itself and nobody else reaches it."""
USER = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^/@\s'\"]*@", re.IGNORECASE)
"""Name and password before the host (RFC 3986, 3.2.1)."""
SIGNED = re.compile(
    r"(?P<name>[?&](?:X-Amz-Signature|X-Amz-Security-Token|X-Amz-Credential|X-Goog-Signature|AWSAccessKeyId|Signature"
    r"|sig|token|access_token|api_key|key)=)[^&#\s'\"]+",
    re.IGNORECASE,
)
"""Fields of a query by which an address opens what is otherwise closed."""
HIDDEN = "..."


def leads_here(address: str) -> bool:
    """Return whether an address (`scheme://host...`) names this machine itself, by its loopback address."""
    return urlsplit(address).hostname in LOOPBACK


def shown(text: str) -> str:
    """Return a text with the passwords and signatures of the addresses in it left out, to be shown or written."""
    return SIGNED.sub(rf"\g<name>{HIDDEN}", USER.sub(rf"\g<scheme>{HIDDEN}@", text))


def secret_fields(content: Any) -> Iterator[str]:
    """Yield the dotted names of all fields of nested mappings and lists whose value is an address with a secret.

    What stands in several places, as YAML's aliases let it, is looked at once.
    """
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, str):
            if shown(value) != value:
                yield name
        elif isinstance(value, Mapping | Sequence) and id(value) not in seen:
            seen.add(id(value))
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting += [(f"{name}.{key}" if name else str(key), field) for key, field in inner]


def require_no_secrets(content: Any, file: str) -> None:
    """Raise ValueError, without the secret, when a field of `content` is an address with a password or signature.

    Args:
        content: Nested mappings and lists, as YAML has them.
        file: What the content is called in the message; it is written, versioned and logged.
    """
    for name in secret_fields(content):
        raise ValueError(
            f"{name} is an address with a password or signature in it, and {file} is versioned and logged: leave it "
            "out there, and give it by ~/.netrc, or by the variables of the environment that docs/security.md names"
        )
