"""The families of sockets that a scenario may have: those that reach nothing beyond its run."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from pairscope.lab.calls.call import Allowed, Call, Choice, Clash, word
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import unsigned
from pairscope.lab.model import Value
from pairscope.sentence import phrase

DOMAINS = ("AF_UNIX", "AF_INET", "AF_INET6")
DOMAIN = Choice(DOMAINS)
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)
"""Of sockets for the network. Others would have the kernel load modules."""


def allow_domains(call: str) -> tuple[Allowed, ...]:
    """What seccomp lets an actor call with a family as its first argument."""
    return tuple(Allowed(call, (word(0, NUMBERS[domain]),), ", ".join(DOMAINS)) for domain in DOMAINS)


def clash_of_protocol(self: Call, arguments: Sequence[Value]) -> Clash | None:
    """Of a call with family, type and protocol: a family of the network with a protocol that the lab has not."""
    domain, _, protocol = arguments
    if unsigned(domain) == socket.AF_UNIX or unsigned(protocol) in _PROTOCOLS:
        return None
    return Clash(2, phrase("0, 6 (TCP) or 17 (UDP), as the domain is a network"))
