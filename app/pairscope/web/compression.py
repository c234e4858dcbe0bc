"""Text compressed with gzip, for the embedded server; under Apache mod_deflate does it by the same rules
(deploy/apache/site.conf.j2).

Compressed is what a page is made of, as long as its length is known and bounded: nothing that is still being made is
held back. Not compressed is

- what answers somebody who is logged in, or a login: a page that holds a secret (the token of its forms) beside text
  that a stranger can choose (a query in an address) tells the secret by how long it is when compressed.
  https://breachattack.com/ Static files hold none, and are compressed for everybody;
- what is kept as a file: it comes with its length, so that one that was cut off is seen to be shorter.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.datastructures import Accept, Headers
from werkzeug.http import parse_accept_header, parse_cookie

from pairscope.web.access import COOKIE

TYPES = frozenset(
    (
        "text/html",
        "text/css",
        "text/javascript",
        "application/javascript",
        "image/svg+xml",
        "application/json",
        "application/problem+json",
    )
)
LEAST, MOST = 512, 4 << 20
"""Bytes: below, the headers outweigh what is saved; above, it would be held in memory for too long."""
LEVEL = 6


class Compressed:
    """A WSGI application whose answers are compressed where the client takes it. PEP 3333, RFC 9110."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if secret(environ) or environ["REQUEST_METHOD"] == "HEAD":
            return self._application(environ, start)
        begun: list[Any] = []

        def begin(*answer: Any) -> Any:
            begun[:] = answer

        body = self._application(environ, begin)
        status, headers = begun[0], Headers(begun[1])
        if not _fits(headers):
            start(*begun)
            return body
        headers.add("Vary", "Accept-Encoding")
        if not taken(environ):
            start(status, list(headers), *begun[2:])
            return body
        try:
            text = gzip.compress(b"".join(body), LEVEL, mtime=0)
        finally:
            getattr(body, "close", lambda: None)()
        headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(text))
        if headers.get("ETag", "").startswith('"'):
            headers["ETag"] = "W/" + headers["ETag"]  # the same text, and not the same bytes
        start(status, list(headers), *begun[2:])
        return [text]


def secret(environ: dict[str, Any]) -> bool:
    """Whether the answer may hold what only one visitor shall know."""
    path = environ.get("PATH_INFO", "")
    if path.startswith("/static/"):
        return False
    cookies = parse_cookie(environ.get("HTTP_COOKIE", ""))
    return path == "/login" or "HTTP_AUTHORIZATION" in environ or any(name.startswith(COOKIE) for name in cookies)


def _fits(headers: Headers) -> bool:
    length = headers.get("Content-Length", "")
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    kept = headers.get("Content-Disposition", "").startswith("attachment")
    return (
        media in TYPES
        and length.isdecimal()
        and LEAST <= int(length) <= MOST
        and not kept
        and "Content-Encoding" not in headers
        and "Content-Range" not in headers
    )


def taken(environ: dict[str, Any]) -> bool:
    """Whether the client takes an answer that is compressed."""
    return parse_accept_header(environ.get("HTTP_ACCEPT_ENCODING"), Accept).quality("gzip") > 0
