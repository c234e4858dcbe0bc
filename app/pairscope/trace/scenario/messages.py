"""Messages with control data: sendmsg and recvmsg."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from pairscope.lab.constants import NUMBERS
from pairscope.lab.language import BYTES_MAX
from pairscope.lab.model import Text, Value
from pairscope.trace.scenario.line import LeftOut, Line, constant, flags, listed, number, room
from pairscope.trace.scenario.turn import ODD, UNSEEN, Turn, sizes, whole

ROOM = 1152
"""Bytes of control data that a recvmsg of the lab has room for, where its line says nothing."""


def sendmsg(turn: Turn) -> Line:
    given, named = turn.given, list[tuple[str, Value]]()
    fd = turn.fd()
    parts = given.get("iov", [])
    if not isinstance(parts, list) or "message" in given:
        raise LeftOut(UNSEEN)
    if "bad_iov" not in given and all(isinstance(one, Mapping) for one in parts):
        named.append(("iov", listed(turn.text(one) for one in parts)))
    else:
        bad = given.get("bad_iov", next((one for one in parts if isinstance(one, str)), ""))
        named += [("iov", listed([])), ("bad_iov", constant(str(bad)))]
    named += _control(turn)
    if turn.number("flags"):
        named.append(("flags", flags("MSG_", turn.number("flags"))))
    return turn.line("sendmsg", fd, named=named)


def _control(turn: Turn) -> list[tuple[str, Value]]:
    """The control data of a sendmsg: descriptors and credentials, or byte by byte where they are forged. Raises
    LeftOut."""
    if turn.gave.get("errno") == "ENOBUFS":
        return [("control", room(BYTES_MAX))]  # more than one may send, however much it was: sendmsg(2)
    control = turn.given.get("control", [])
    if not isinstance(control, list) or not all(isinstance(part, Mapping) for part in control):
        raise LeftOut(UNSEEN)
    kinds = [part.get("type") for part in control]
    usual = kinds in ([], ["SCM_RIGHTS"], ["SCM_CREDENTIALS"], ["SCM_RIGHTS", "SCM_CREDENTIALS"])
    if not usual or any(part.get("cmsg_len") != part.get("CMSG_LEN") or not _said(part) for part in control):
        return [("raw", Text(b"".join(_raw(turn, part) for part in control), 1, True))]
    named: list[tuple[str, Value]] = []
    for part in control:
        if part["type"] == "SCM_RIGHTS":
            named.append(("fds", listed(turn.passed(whole(one)) for one in _said(part))))
        elif "errno" in turn.gave:  # one's own the kernel adds by itself
            pid, user, group = (whole(one) for one in _said(part))
            named.append(("creds", listed([turn.process(pid), number(user), number(group)])))
    return named


def _said(part: Mapping[str, Any]) -> list[Any]:
    rights = part.get("type") == "SCM_RIGHTS"
    found = part.get("fds" if rights else "creds")
    return found if isinstance(found, list) and (rights or len(found) == 3) else []


def _raw(turn: Turn, part: Mapping[str, Any]) -> bytes:
    """A control message as its bytes; the numbers in it are the lab's. cmsg(3)"""
    level, kind, padding = part.get("level"), part.get("type"), whole(part.get("padding"))
    if not isinstance(level, str) or not isinstance(kind, str) or "creds" in part or not 0 <= padding < 8:
        raise LeftOut(ODD)
    try:
        body = base64.b64decode(part.get("data", ""), validate=True)
        numbers = [NUMBERS[one] if one in NUMBERS else int(one) for one in (level, kind)]
        head = struct.pack("=QII", whole(part.get("cmsg_len")), *numbers)
    except (ValueError, TypeError, struct.error):
        raise LeftOut(ODD) from None
    if kind == "SCM_RIGHTS" and len(body) % 4 == 0 and "errno" not in turn.gave:
        found = (turn.table.held.get(one) for (one,) in struct.iter_unpack("=i", body))
        body = b"".join(struct.pack("=i", held.number) for held in found if held)
    return head + body + bytes(padding)


def recvmsg(turn: Turn) -> Line:
    given, named = turn.given, list[tuple[str, Value]]()
    fd = turn.fd()
    if "message" in given:
        raise LeftOut(UNSEEN)
    if "bad_iov" in given:
        named += [("iov", listed([])), ("bad_iov", constant(str(given["bad_iov"])))]
    else:
        named.append(("iov", listed(map(room, sizes(turn)))))
    control = given.get("control")
    if isinstance(control, int) and control != ROOM:
        named.append(("control", room(control)))
    if turn.number("flags"):
        named.append(("flags", flags("MSG_", turn.number("flags"))))
    return turn.line("recvmsg", fd, named=named)
