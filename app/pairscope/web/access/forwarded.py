"""Whose request it is, where a proxy of ours stands before us. Pure: it decides from what the request says.

``X-Forwarded-For`` is a list to which each proxy adds, at the end, the address that connected to it. Everything before
that stands there by the sender's own word. So the list is read from its end, for as long as the address that we have
is a proxy's that the settings name. https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def believed(peer: str, forwarded: str, proxies: Iterable[Network]) -> str:
    """The address that asks: `peer`, who has connected, or the last one in `forwarded` that is no proxy's.

    What is no address ends the search: the proxy that wrote it counts.
    """
    trusted = list(proxies)
    address = peer
    for told in reversed(forwarded.split(",")):
        here = _address(address)
        if here is None or not any(here in network for network in trusted):
            break
        further = _address(told)
        if further is None:
            break
        address = str(further)
    return address


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; of an IPv4 one in IPv6's clothes that one. None: it is none."""
    try:
        found = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


class Forwarded:
    """A WSGI application that finds in REMOTE_ADDR the address that is believed."""

    def __init__(self, application: Callable[..., Any], proxies: Iterable[str]) -> None:
        self._application = application
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if self._proxies:
            environ["REMOTE_ADDR"] = believed(
                environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""), self._proxies
            )
        return self._application(environ, start_response)
