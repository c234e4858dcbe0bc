"""Whose request it is, and for which address of ours, where a proxy of ours stands before us. Pure: it decides from
what the request says.

``X-Forwarded-For`` is a list to which each proxy adds, at the end, the address that connected to it. Everything before
that stands there by the sender's own word. So the list is read from its end, for as long as the address that we have
is a proxy's that the settings name. https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
Of ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` the last value counts, which the proxy has written that connected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNBELIEVED = "pairscope.unbelieved"
"""Key of a request's environ: True if somebody who is no trusted proxy has sent what only a proxy says."""
_SAID = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")


def believed(peer: str, forwarded: str, proxies: Iterable[Network]) -> str:
    """The address that asks: `peer`, who has connected, or the last one in `forwarded` that is no proxy's.

    What is no address ends the search: the proxy that wrote it counts.
    """
    trusted = list(proxies)
    address = peer
    for told in reversed(forwarded.split(",")):
        if not _among(address, trusted):
            break
        further = _address(told)
        if further is None:
            break
        address = str(further)
    return address


def _among(text: str, networks: Iterable[Network]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; of an IPv4 one in IPv6's clothes that one. None: it is none."""
    try:
        found = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


class Forwarded:
    """A WSGI application that finds in its environ who asks, by which scheme, for which host and below which path, as
    far as a proxy is believed. PEP 3333."""

    def __init__(self, application: Callable[..., Any], proxies: Iterable[str], prefix: str = "") -> None:
        self._application = application
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._prefix = prefix

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        peer = environ.get("REMOTE_ADDR", "")
        if _among(peer, self._proxies):
            environ["REMOTE_ADDR"] = believed(peer, environ.get("HTTP_X_FORWARDED_FOR", ""), self._proxies)
            scheme, host = _last(environ, "HTTP_X_FORWARDED_PROTO"), _last(environ, "HTTP_X_FORWARDED_HOST")
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            if host:
                environ["HTTP_HOST"] = host
        elif any(name in environ for name in _SAID):
            environ[UNBELIEVED] = True
        if self._prefix:
            self._place(environ)
        return self._application(environ, start_response)

    def _place(self, environ: dict[str, Any]) -> None:
        """The site stands below the prefix, whether the proxy has taken that off the path or not."""
        path = environ.get("PATH_INFO", "")
        if path == self._prefix or path.startswith(self._prefix + "/"):
            environ["PATH_INFO"] = path[len(self._prefix) :] or "/"
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + self._prefix


def _last(environ: dict[str, Any], name: str) -> str:
    return environ.get(name, "").rpartition(",")[2].strip()
