"""A control buffer taken apart, as cmsg(3) has it: header, data, and the padding that CMSG_SPACE counts and CMSG_LEN
does not."""

from __future__ import annotations

import base64
import socket
import struct
from typing import Any

from pairscope.lab.constants import NUMBERS, decode

_HEADER = struct.Struct("=QII")
"""struct cmsghdr on machines of 64 bits: cmsg_len, cmsg_level, cmsg_type."""
_TYPES = {NUMBERS[name]: name for name in ("SCM_RIGHTS", "SCM_CREDENTIALS", "SCM_SECURITY", "SCM_PIDFD")}


def described(message: dict[str, Any]) -> dict[str, Any]:
    """What sendmsg was given or recvmsg gave, JSON-able: ``iov`` (bytes of each part), ``flags`` in words, ``control``
    and its parts."""
    control = message["control"]
    told = {
        "iov": message["iov"],
        "flags": decode("MSG_", message["flags"] & 0xFFFFFFFF),
        "msg_flags": message["flags"],
        "controllen": message["controllen"],
        "control": base64.b64encode(control).decode(),
        "parts": parts(control),
    }
    if "room" in message:
        told["room"] = message["room"]
    return told


def parts(control: bytes) -> list[dict[str, Any]]:
    """Each control message: where it begins, its three fields, what it needs and takes, and what it says."""
    found = []
    at = 0
    while at + _HEADER.size <= len(control):
        length, level, kind = _HEADER.unpack_from(control, at)
        body = control[at + _HEADER.size : at + length] if length >= _HEADER.size else b""
        space = _HEADER.size + (len(body) + 7 & ~7)
        part = {
            "at": at,
            "cmsg_len": length,
            "level": decode("SOL_", level) if level == socket.SOL_SOCKET else str(level),
            "type": _TYPES.get(kind, str(kind)) if level == socket.SOL_SOCKET else str(kind),
            "CMSG_LEN": _HEADER.size + len(body),
            "CMSG_SPACE": space,
            "padding": max(0, min(at + space, len(control)) - at - _HEADER.size - len(body)),
            "data": base64.b64encode(body).decode(),
        }
        if part["type"] in ("SCM_RIGHTS", "SCM_PIDFD"):
            part["fds"] = [number for (number,) in struct.iter_unpack("=i", body[: len(body) & ~3])]
        elif part["type"] == "SCM_CREDENTIALS" and len(body) == 12:
            part["creds"] = list(struct.unpack("=iII", body))
        found.append(part)
        if length < _HEADER.size or at + length > len(control):
            break  # the chain ends where CMSG_NXTHDR would end it
        at += length + 7 & ~7
    return found


def descriptors(message: dict[str, Any]) -> list[int]:
    """The numbers that came with it, in order."""
    return [fd for part in parts(message["control"]) for fd in part.get("fds", [])]
