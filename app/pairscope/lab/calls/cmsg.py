"""A control buffer taken apart, as cmsg(3) has it: header, data, and the padding that CMSG_SPACE counts and CMSG_LEN
does not."""

from __future__ import annotations

import base64
import socket
import struct
from typing import Any

from pairscope.lab.constants import NUMBERS, decode
from pairscope.lab.run import UNSET, Message, Part

_HEADER = struct.Struct("=QII")
"""struct cmsghdr on machines of 64 bits: cmsg_len, cmsg_level, cmsg_type."""
_TYPES = {NUMBERS[name]: name for name in ("SCM_RIGHTS", "SCM_CREDENTIALS", "SCM_SECURITY", "SCM_PIDFD")}


def described(message: dict[str, Any]) -> Message:
    """What sendmsg was given or recvmsg gave, as `make` tells it."""
    control = message["control"]
    return Message(
        iov=message["iov"],
        flags=decode("MSG_", message["flags"] & 0xFFFFFFFF),
        msg_flags=message["flags"],
        controllen=message["controllen"],
        control=base64.b64encode(control).decode(),
        parts=parts(control),
        room=message.get("room", UNSET),
    )


def parts(control: bytes) -> list[Part]:
    """Each control message: where it begins, its three fields, what it needs and takes, and what it says."""
    found = []
    at = 0
    while at + _HEADER.size <= len(control):
        length, level, kind = _HEADER.unpack_from(control, at)
        body = control[at + _HEADER.size : at + length] if length >= _HEADER.size else b""
        space = _HEADER.size + (len(body) + 7 & ~7)
        name = _TYPES.get(kind, str(kind)) if level == socket.SOL_SOCKET else str(kind)
        said: dict[str, list[int]] = {}
        if name in ("SCM_RIGHTS", "SCM_PIDFD"):
            said["fds"] = [number for (number,) in struct.iter_unpack("=i", body[: len(body) & ~3])]
        elif name == "SCM_CREDENTIALS" and len(body) == 12:
            said["creds"] = list(struct.unpack("=iII", body))
        found.append(
            Part(
                at=at,
                cmsg_len=length,
                level=decode("SOL_", level) if level == socket.SOL_SOCKET else str(level),
                type=name,
                CMSG_LEN=_HEADER.size + len(body),
                CMSG_SPACE=space,
                padding=max(0, min(at + space, len(control)) - at - _HEADER.size - len(body)),
                data=base64.b64encode(body).decode(),
                **said,
            )
        )
        if length < _HEADER.size or at + length > len(control):
            break  # the chain ends where CMSG_NXTHDR would end it
        at += length + 7 & ~7
    return found
