"""What a call gave, in the words of C: what its number stands for, and what came beside it."""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Mapping

from pairscope.lab import named
from pairscope.lab.calls import CALLS
from pairscope.lab.calls.results import Returned
from pairscope.lab.constants import NUMBERS, decode, signal_name
from pairscope.lab.run import UNSET, Result, State, Step, given


def meaning(step: Step, result: Result, names: Mapping[int, str]) -> str:
    """What the number that a call returned stands for: a process's name (`names`, by pid), flags, seals; empty: for
    itself."""
    if result.value is None or result.errno:
        return ""
    return CALLS[step.call].meaning(Returned(step, result, names))


WORDS = {"process": "process %s", "user": "user %s", "group": "group %s", "nobody": "no process"}
"""What credentials are told in. A page has its own."""


def beside(
    step: Step, state: State, result: Result, names: Mapping[int, str], words: Mapping[str, str] = WORDS
) -> dict[str, str]:
    """What came beside the number, by key: ``revents``, ``status``, ``killed``, ``stopped``, ``continued``, ``value``
    (of an option or an eventfd), ``flags``, ``creds``, ``port``."""
    found: dict[str, str] = {}
    if result.revents is not UNSET:
        several = [named.EVENTS.told(one & 0xFFFF) for one in result.revents]
        found["revents"] = several[0] if len(several) == 1 else f"[{', '.join(several)}]"
    if result.status is not UNSET:
        found["status"] = str(result.status)
    for key in ("killed", "stopped", "continued"):
        if (number := getattr(result, key)) is not UNSET:
            found[key] = signal_name(number)
    if result.msg_flags:
        found["flags"] = decode("MSG_", result.msg_flags & 0xFFFFFFFF)
    if result.creds:
        found["creds"] = credentials(result.creds, names, words)
    if result.option is not UNSET:
        found["value"] = option(step, result, names, words)
    elif result.held is not UNSET and _counts(step, state):
        found["value"] = str(result.held)
    if result.port is not UNSET:
        found["port"] = str(result.port)
    if result.before:
        found["before"] = result.before
    return found


def _counts(step: Step, state: State) -> bool:
    """Whether the call's descriptor was an eventfd, whose eight bytes are a number."""
    counters = {item.inode for item in state.objects if item.kind == "eventfd"}
    rows = [row for process in state.processes if process.has(step.actor) for row in process.descriptors]
    return any(row.number == step.arguments[0] and row.inode in counters for row in rows)


def credentials(creds: list[int], names: Mapping[int, str], words: Mapping[str, str] = WORDS) -> str:
    """Process, user and group in words: ``process me, user 65534, group 65534``; what the kernel does not know is left
    out."""
    pid, *ids = creds
    told = [words["process"] % names.get(pid, pid) if pid else words["nobody"]]
    told += [words[what] % number for what, number in zip(("user", "group"), ids) if number not in (0xFFFFFFFF, -1)]
    return ", ".join(told)


def option(step: Step, result: Result, names: Mapping[int, str], words: Mapping[str, str] = WORDS) -> str:
    """An option's value: credentials and constants by their names, a time-out in seconds, else numbers."""
    data, held = base64.b64decode(given(result.option, "option")), given(result.held, "held")
    level, which = (step.arguments + [None] * 3)[1:3]
    if level != socket.SOL_SOCKET:
        return str(held)
    if which == NUMBERS["SO_PEERCRED"] and len(data) == 12:
        return credentials(list(struct.unpack("=iII", data)), names, words)
    if which in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO) and isinstance(held, list) and len(held) == 2:
        return f"{held[0]}.{held[1]:06d} s"
    if (kind := named.of_option(step.arguments)) and isinstance(held, int):
        return kind.told(held)
    return str(held)
