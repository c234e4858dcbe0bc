"""What crossed, byte by byte: the data of a call, and its msghdr with each field's place in the control buffer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple

from flask_babel import gettext as _

from pairscope.lab.run import UNSET, Bytes, Message, Result, Step, piece_of
from pairscope.web.words import NOTHING

ROWS_MOST = 32


class Field(NamedTuple):
    """One field, and its bytes in the pane beside it."""

    key: str
    """Joins the field and its bytes on the page."""
    name: str
    value: str
    offset: int
    length: int
    note: str = ""


class Pane(NamedTuple):
    """Some bytes, and the fields in them."""

    title: str
    data: bytes
    total: int
    """Bytes that there were; `data` may hold only the first."""
    fields: list[Field]

    def rows(self) -> list[tuple[str, list[tuple[str, str]], str]]:
        """Offset, each byte with the key of its field, printable letters."""
        keys = [""] * len(self.data)
        for field in self.fields:
            for at in range(field.offset, min(field.offset + field.length, len(keys))):
                keys[at] = field.key
        found = []
        for start in range(0, min(len(self.data), 16 * ROWS_MOST), 16):
            part = self.data[start : start + 16]
            cells = [(f"{byte:02x}", keys[start + index]) for index, byte in enumerate(part)]
            found.append((f"{start:04x}", cells, "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)))
        return found

    @property
    def left_out(self) -> int:
        """Bytes that are not shown."""
        return max(0, self.total - min(len(self.data), 16 * ROWS_MOST))


def panes(step: Step, completed: Result | None = None, names: Mapping[int, str] | None = None) -> list[Pane]:
    """Every pane that a step's call, or `completed` (the end of another call), has bytes for; `names` are the
    processes', by pid."""
    result = completed or step.result
    found: list[Pane] = []
    if result is None:
        return found
    message = result.message
    if message and message.controllen:
        found.append(_control(message, names or {}))
    elif message and not message.controllen and message.room:
        found.append(Pane(_("Control buffer: nothing came"), b"", 0, []))
    if result.data:
        data = base64.b64decode(result.data)
        found.append(
            Pane(
                _("Bytes received") if message else _("Bytes read"),
                data,
                len(data) if result.bytes is UNSET else result.bytes,
                _parts(message, data),
            )
        )
    if completed is None and not result.data:
        sent = _sent(step)
        if sent:
            fields, at = [], 0
            for index, part in enumerate(sent):
                fields.append(
                    Field(f"iov{index}", f"iov[{index}]", _("%(count)s bytes", count=len(part)), at, len(part))
                )
                at += len(part)
            data = b"".join(sent)
            found.append(Pane(_("Bytes given to the call"), data, len(data), fields if len(sent) > 1 else []))
    return found


def _sent(step: Step) -> list[bytes]:
    """The bytes among a call's arguments."""
    pieces = []
    if step.call in ("write", "send", "pwrite"):
        pieces += [_text(argument) for argument in step.positional if isinstance(argument, dict)]
    if isinstance(parts := step.named.get("iov"), list):
        pieces += [_text(part) for part in parts if isinstance(part, dict)]
    return pieces


def _text(text: Bytes) -> bytes:
    piece, times = piece_of(text)
    return (piece * times)[: 16 * ROWS_MOST * 4]


def _parts(message: Message | None, data: bytes) -> list[Field]:
    if not message or len(message.iov) < 2:
        return []
    fields, at = [], 0
    for index, length in enumerate(message.iov):
        fields.append(Field(f"in{index}", f"iov[{index}]", _("%(count)s bytes", count=length), at, length))
        at += length
    return fields


def _control(message: Message, names: Mapping[int, str]) -> Pane:
    fields = []
    for index, part in enumerate(message.parts):
        at, prefix = part.at, f"c{index}"
        body = part.CMSG_LEN - 16
        fields += [
            Field(
                f"{prefix}len",
                "cmsg_len",
                str(part.cmsg_len),
                at,
                8,
                f"CMSG_LEN({body}) = {part.CMSG_LEN}, CMSG_SPACE({body}) = {part.CMSG_SPACE}",
            ),
            Field(f"{prefix}level", "cmsg_level", part.level, at + 8, 4),
            Field(f"{prefix}type", "cmsg_type", part.type, at + 12, 4),
        ]
        if isinstance(part.fds, list):
            fields += [
                Field(f"{prefix}fd{place}", f"fd[{place}]", str(fd), at + 16 + 4 * place, 4)
                for place, fd in enumerate(part.fds)
            ]
        elif isinstance(part.creds, list):
            fields += [
                Field(f"{prefix}{name}", name, _id(name, value, names), at + 16 + 4 * place, 4)
                for place, (name, value) in enumerate(zip(("pid", "uid", "gid"), part.creds))
            ]
        elif body:
            fields.append(Field(f"{prefix}data", "CMSG_DATA", _("%(count)s bytes", count=body), at + 16, body))
        if part.padding:
            fields.append(
                Field(
                    f"{prefix}pad",
                    _("padding"),
                    _("%(count)s bytes", count=part.padding),
                    at + 16 + body,
                    part.padding,
                )
            )
    data = base64.b64decode(message.control)
    room = f", msg_controllen {message.controllen}" + (
        _(" of %(room)s", room=message.room) if message.room is not UNSET else ""
    )
    return Pane(_("Control buffer") + room, data, message.controllen, fields)


def _id(name: str, value: int, names: Mapping[int, str]) -> str:
    """A number of credentials, with the name of its process."""
    return f"{value} ({names[value]})" if name == "pid" and value in names else str(value)


def header(message: Message | None) -> list[tuple[str, str]]:
    """The msghdr's other fields."""
    if not message:
        return []
    return [
        ("msg_iov", ", ".join(_("%(count)s bytes", count=count) for count in message.iov) or NOTHING),
        ("msg_controllen", str(message.controllen) + (f" / {message.room}" if message.room is not UNSET else "")),
        ("msg_flags" if message.room is not UNSET else "flags", message.flags),
    ]
