"""The one door: every request of every kind passes here first, and is refused unless it proves itself.

A page in another tab can send requests to this computer and can point a name of its own at it (DNS rebinding); so
the token alone is not asked for, but also the Host, the Origin, and what the browser says of where a request began.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = {"GET", "HEAD"}
ACCEPTED = ("application/json", "application/octet-stream")
OWN_HEADER = "x-convscope"
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
JSON_BYTES = 1 << 20
UPLOAD_BYTES = 24 << 20


class TooLargeError(Exception):
    """A body that goes on past its limit."""


class Guard:
    """Refuses by default, whatever the route or method; a web socket is refused like everything else.

    Args:
        app: what is guarded.
        token: from the link; exchanged once for a cookie that scripts can't read.
        hosts: values of the Host header that are this server ("127.0.0.1:8000").
        cookie: name of the cookie; holds the port, so that two studios don't mix.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str], cookie: str) -> None:
        """Draw the cookie's secret: not the token, which stands in a link."""
        self._app = app
        self._token, self._hosts, self._cookie = token, frozenset(hosts), cookie
        self._secret = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer 401 or 403."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        headers = Headers(scope=scope)
        answer = self._foreign(headers) or self._exchange(scope) or self._stranger(headers)
        answer = answer or self._unfit(scope["method"], headers)
        if answer is not None:
            await answer(scope, receive, self._sealed(send))
            return
        await self._limited(scope, receive, send, headers)

    def _foreign(self, headers: Headers) -> Response | None:
        """Requests that did not begin on our own page or in the address bar."""
        own = {f"http://{host}" for host in self._hosts}
        asked = headers.getlist("host")
        if len(asked) != 1 or asked[0] not in self._hosts:
            return _refuse(403, "This name is not the studio's. Open the link that the command printed.")
        if any(origin not in own for origin in headers.getlist("origin")):
            return _refuse(403, "Another page may not ask the studio.")
        if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
            return _refuse(403, "Another page may not ask the studio.")
        if "upgrade" in headers:
            return _refuse(403, "The studio opens no web sockets.")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind and kind not in ACCEPTED:
            return _refuse(403, "Forms are not accepted.")
        return None

    def _exchange(self, scope: Scope) -> Response | None:
        """The link itself: its token becomes a cookie, and the address is clean again."""
        if scope["method"] != "GET" or scope["path"] != "/":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        if not given:
            return None
        if not hmac.compare_digest(given[0].encode(), self._token.encode()):
            return _refuse(401, "This link is not from this studio. Open the link that the command printed last.")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, self._secret, path="/", httponly=True, samesite="strict")
        return answer

    def _stranger(self, headers: Headers) -> Response | None:
        """Requests without the cookie."""
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie and hmac.compare_digest(value.encode(), self._secret.encode()):
                return None
        return _refuse(401, "The studio opens only by the link that `convscope studio` printed in the terminal.")

    def _unfit(self, method: str, headers: Headers) -> Response | None:
        """Requests that change something must carry a header that no form and no foreign page can send."""
        if method in SAFE or (method == "POST" and headers.get(OWN_HEADER) and "content-type" in headers):
            return None
        return _refuse(403, "Requests that change something come from the studio's own page only.")

    async def _limited(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        is_upload = headers.get("content-type", "").startswith("application/octet-stream")
        limit = UPLOAD_BYTES if is_upload else JSON_BYTES
        said = headers.get("content-length", "0")
        if not said.isdigit() or int(said) > limit:
            await _refuse(413, f"At most {limit >> 20} MiB.")(scope, receive, self._sealed(send))
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooLargeError
            return message

        async def judged(message: Message) -> None:
            if taken > limit and message["type"] == "http.response.start":
                message = {**message, "status": 413}  # whatever the application made of the broken body
            await self._sealed(send)(message)

        try:
            await self._app(scope, counted, judged)
        except TooLargeError:
            await _refuse(413, f"At most {limit >> 20} MiB.")(scope, receive, self._sealed(send))

    @staticmethod
    def _sealed(send: Send) -> Send:
        """Every answer carries the same strict headers."""

        async def sealing(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    found[name] = value
                if "cache-control" not in found:
                    found["cache-control"] = "no-store"
            await send(message)

        return sealing


def _refuse(status: int, words: str) -> Response:
    return PlainTextResponse(words + "\n", status)
