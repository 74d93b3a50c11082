"""Reads from the headers of an answer how many requests a server still allows, and when it wants to be asked again.

Sources: RFC 9110 sec. 10.2.3 (`Retry-After`); draft-ietf-httpapi-ratelimit-headers, version 09 (`RateLimit`:
`"NAME";r=LEFT;t=SECONDS` and `RateLimit-Policy`: `"NAME";q=QUOTA;w=SECONDS`), version 07 (`limit=..., remaining=...,
reset=...` in one header) and version 05 (`RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`). The Hugging Face
hub follows version 09 with fixed windows of 300 s and counts downloads as "resolvers"
(https://huggingface.co/docs/hub/rate-limits): `RateLimit: "api";r=0;t=55` and
`RateLimit-Policy: "fixed window";"api";q=500;w=300`. huggingface_hub reads one such entry and only after a refusal.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

ROUNDING_SECONDS = 1.0
"""Servers round the seconds to wait; a request that comes a moment too early counts in the next window."""
UNHURRIED_SHARE = 0.5
"""While more than this share of a window's requests is left, none is held back: short downloads are not slowed down."""
FIELD = re.compile(r"(?:^|[\s;,])([a-z]+)\s*=\s*(\d+)")
NAME = re.compile(r'"([^"]*)"')


@dataclass(frozen=True)
class Allowance:
    """What is left of the requests that a server allows within a window of time."""

    left: int
    seconds: float
    """Until the window ends and all are allowed again."""
    quota: int | None = None
    """Requests of the whole window; None: the server does not say."""

    def spacing(self, others: int) -> float:
        """Return the seconds between requests with which what is left lasts for the window; 0.0 while there is plenty.

        Args:
            others: Requests under way that the server may not have counted yet.
        """
        if self.quota is not None and self.left > self.quota * UNHURRIED_SHARE:
            return 0.0
        return self.seconds / max(1, self.left - others)


def seconds_to_wait(headers: Mapping[str, str], *, is_refused: bool) -> float:
    """Return for how many seconds an answer asks not to come again; 0.0 where it does not.

    Args:
        headers: Of the answer.
        is_refused: Whether the answer is a refusal (429, 503). Otherwise only an allowance that is used up counts.
    """
    asked = [_retry_after(headers)] if is_refused else []
    found = allowances(headers)
    used_up = [one for one in found if one.left == 0]  # where there is one, the others are not what holds us
    asked += [one.seconds for one in used_up or (found if is_refused else [])]
    longest = max(asked, default=0.0)
    return longest + ROUNDING_SECONDS if longest else 0.0


def allowances(headers: Mapping[str, str]) -> list[Allowance]:
    """Return what each window that the headers name still allows; none where they name none."""
    combined = headers.get("RateLimit", "")
    if not combined:
        return list(_separate(headers))
    if ";" not in combined:
        fields = _numbers(combined)
        return [_allowance(fields.get("remaining"), fields["reset"], fields.get("limit"))] if "reset" in fields else []
    return list(_by_name(combined, headers.get("RateLimit-Policy", "")))


def _by_name(combined: str, policy: str) -> Iterator[Allowance]:
    """Read version 09, in which each entry names its window and the policy says how long that is."""
    rules = {name: _numbers(entry) for entry in policy.split(",") for name in NAME.findall(entry)}
    for entry in combined.split(","):
        fields = _numbers(entry)
        rule = next((rules[name] for name in NAME.findall(entry) if name in rules), {})
        seconds = fields.get("t", rule.get("w") if "r" in fields else None)
        if seconds is not None:
            yield _allowance(fields.get("r"), seconds, rule.get("q"))


def _separate(headers: Mapping[str, str]) -> Iterator[Allowance]:
    """Read version 05, which has a header for each number."""
    left, reset = headers.get("RateLimit-Remaining", "").strip(), headers.get("RateLimit-Reset", "").strip()
    if reset.isdigit():
        quota = re.match(r"\s*(\d+)", headers.get("RateLimit-Limit", ""))
        yield _allowance(int(left) if left.isdigit() else None, int(reset), int(quota[1]) if quota else None)


def _allowance(left: int | None, seconds: int, quota: int | None) -> Allowance:
    return Allowance(0 if left is None else left, float(seconds), quota)


def _numbers(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in FIELD.findall(text)}


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return Retry-After in seconds; a date counts from the date of the answer, for this machine's clock may differ."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError):
        return 0.0
