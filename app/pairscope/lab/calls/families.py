"""The families of sockets that a scenario may have: those that reach nothing beyond its run."""

from __future__ import annotations

from pairscope.lab.calls.call import Allowed, Choice, word
from pairscope.lab.constants import NUMBERS

DOMAINS = ("AF_UNIX", "AF_INET", "AF_INET6")
DOMAIN = Choice(DOMAINS)


def allow_domains(call: str) -> tuple[Allowed, ...]:
    """What seccomp lets an actor call with a family as its first argument."""
    return tuple(Allowed(call, (word(0, NUMBERS[domain]),), ", ".join(DOMAINS)) for domain in DOMAINS)
