"""What a call gave, in the words of C: what its number stands for, and what came beside it."""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Mapping
from typing import Any

from pairscope.lab import named
from pairscope.lab.constants import NUMBERS, decode, signal_name


def meaning(step: dict[str, Any], result: dict[str, Any], names: Mapping[int, str]) -> str:
    """What the number that a call returned stands for: a process's name (`names`, by pid), flags, seals; empty: for
    itself."""
    value, call = result["value"], step["call"]
    if value is None or result["errno"]:
        return ""
    if call in ("fork", "wait", "waitpid"):
        return names.get(value, "")
    if kind := named.of_return(call, step["arguments"]):
        word = kind.told(value)
        return "" if word == str(value) else word
    return ""


WORDS = {"process": "process %s", "user": "user %s", "group": "group %s", "nobody": "no process"}
"""What credentials are told in. A page has its own."""


def beside(
    step: dict[str, Any], result: dict[str, Any], names: Mapping[int, str], words: Mapping[str, str] = WORDS
) -> dict[str, str]:
    """What came beside the number, by key: ``revents``, ``status``, ``killed``, ``stopped``, ``continued``, ``value``
    (of an option or an eventfd), ``flags``, ``creds``, ``port``."""
    found: dict[str, str] = {}
    if result.get("revents") is not None:
        several = [named.EVENTS.told(one & 0xFFFF) for one in result["revents"]]
        found["revents"] = several[0] if len(several) == 1 else f"[{', '.join(several)}]"
    if result.get("status") is not None:
        found["status"] = str(result["status"])
    for key in ("killed", "stopped", "continued"):
        if result.get(key) is not None:
            found[key] = signal_name(result[key])
    if result.get("msg_flags"):
        found["flags"] = decode("MSG_", result["msg_flags"] & 0xFFFFFFFF)
    if result.get("creds"):
        found["creds"] = credentials(result["creds"], names, words)
    if result.get("option") is not None:
        found["value"] = option(step, result, names, words)
    elif result.get("held") is not None and _counts(step):
        found["value"] = str(result["held"])
    if result.get("port") is not None:
        found["port"] = str(result["port"])
    if result.get("before"):
        found["before"] = result["before"]
    return found


def _counts(step: dict[str, Any]) -> bool:
    """Whether the call's descriptor was an eventfd, whose eight bytes are a number."""
    facts = step["after"] or {"processes": [], "objects": []}
    counters = {item["inode"] for item in facts["objects"] if item["kind"] == "eventfd"}
    rows = [
        row
        for process in facts["processes"]
        if step["actor"] in (process["name"], *(thread["name"] for thread in process.get("threads") or ()))
        for row in process["descriptors"]
    ]
    return any(row["number"] == step["arguments"][0] and row["inode"] in counters for row in rows)


def credentials(creds: list[int], names: Mapping[int, str], words: Mapping[str, str] = WORDS) -> str:
    """Process, user and group in words: ``process me, user 65534, group 65534``; what the kernel does not know is left
    out."""
    pid, *ids = creds
    told = [words["process"] % names.get(pid, pid) if pid else words["nobody"]]
    told += [words[what] % number for what, number in zip(("user", "group"), ids) if number not in (0xFFFFFFFF, -1)]
    return ", ".join(told)


def option(
    step: dict[str, Any], result: dict[str, Any], names: Mapping[int, str], words: Mapping[str, str] = WORDS
) -> str:
    """An option's value: credentials and constants by their names, a time-out in seconds, else numbers."""
    data, held = base64.b64decode(result["option"]), result["held"]
    level, which = (step["arguments"] + [None] * 3)[1:3]
    if level != socket.SOL_SOCKET:
        return str(held)
    if which == NUMBERS["SO_PEERCRED"] and len(data) == 12:
        return credentials(list(struct.unpack("=iII", data)), names, words)
    if which in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO) and isinstance(held, list) and len(held) == 2:
        return f"{held[0]}.{held[1]:06d} s"
    if (kind := named.of_option(step["arguments"])) and isinstance(held, int):
        return kind.told(held)
    return str(held)
