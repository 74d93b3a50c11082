"""What keeps servers that are meant for this machine to it: for any application that speaks ASGI."""

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; frame-ancestors 'self'"
)

"""Of pages with scripts."""
STILL = "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; form-action 'self'"
"""Of pages without any."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class OwnHosts:
    """Refuses requests to a server on the loopback address that were meant for another name.

    A page of the internet whose name is made to point at this machine (DNS rebinding), or that posts a form to it,
    would otherwise use it with the visitor's browser.
    """

    def __init__(self, app: App, host: str) -> None:
        """Guard `app`, which is bound to `host`; nothing is refused where other machines may come anyway."""
        self._app, self._is_guarded = app, is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] in ("http", "websocket") and self._is_guarded and not _is_own(dict(scope["headers"])):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"this server answers on its loopback address alone\n"})
            return
        await self._app(scope, receive, send)


class SelfContained:
    """Tells browsers to fetch nothing for these pages from anywhere else."""

    def __init__(self, app: App, policy: str = POLICY) -> None:
        """Add the header with `policy` to what `app` answers."""
        self._app, self._policy = app, policy.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with the header."""

        async def with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"content-security-policy", self._policy)]
            await send(message)

        await self._app(scope, receive, with_policy)


def _is_own(headers: dict[bytes, bytes]) -> bool:
    names = [urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname]
    if b"origin" in headers:
        names.append(urlsplit(headers[b"origin"].decode("latin-1")).hostname)
    return all(name is not None and is_loopback(name) for name in names)
