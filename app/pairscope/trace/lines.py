"""A step as a line in the manner of strace(1): the call with what it was given, and what it gave.

A recording may be anybody's file. So nothing is taken for granted of what a step holds but that the schema let it in: a
value of another kind than the recorder writes is shown as it is, and a long one is cut.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pairscope.lab.constants import NUMBERS, decode, signal_name
from pairscope.trace.file import Recording
from pairscope.trace.recording import Step

MOST = 240
"""Letters of a value, and of all that a call was given."""
_DEEP = 4
_MANY = 16
"""Members of a list that are shown."""
_SHOWN, _PATH = 32, 160
"""Bytes of a text, as strace shows them; of a path."""
_ESCAPES = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 92: "\\\\"}
_WORDS = {
    "epoll_create": 1, "eventfd": 1, "unshare": 1, "exit": 1, "exit_group": 1, "tkill": 2, "io_uring_setup": 2,
    "timerfd_create": 2, "tgkill": 3, "close_range": 3, "pidfd_getfd": 3, "signalfd": 3, "rt_sigqueueinfo": 3,
    "sendfile": 4, "signalfd4": 4, "tee": 4, "timerfd_settime": 4, "epoll_pwait2": 5, "select": 5, "ppoll": 5,
    "waitid": 5, "restart_syscall": 0,
}  # fmt: skip
"""How many of the six registers are arguments, of calls of which these alone are kept."""
_LEFT_OUT = frozenset({"on", "address_room", "message"})
_SOCKET_BITS = 0o4000 | 0o2000000
"""SOCK_NONBLOCK and SOCK_CLOEXEC, linux/net.h."""
_NO_CALLS = {"attached": "attached", "foreign": "a call of i386 or x32"}
"""Steps that are no calls, beside signals and ends."""


def _kind(value: int) -> str:
    base, bits = value & ~_SOCKET_BITS, value & _SOCKET_BITS
    return decode("SOCK_", base) + (f"|{decode('SOCK_', bits)}" if bits else "")


_NAMED: dict[str, Callable[[int], str]] = {
    "domain": lambda value: decode("AF_", value),
    "type": _kind,
    "signal": signal_name,
    "options": lambda value: decode("W", value),
    "how": lambda value: decode("SHUT_", value),
}
"""How a number is written, by what it is."""
_FCNTL = {NUMBERS[name]: name for name in ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETFL", "F_ADD_SEALS")}
_EPOLL_CTL = {1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"}
_EPOLL = {name: getattr(select, name) for name in dir(select) if name.startswith("EPOLL") and name != "EPOLL_CLOEXEC"}
"""linux/eventpoll.h."""
_FLAGS = {
    "send": "MSG_", "recv": "MSG_", "memfd_create": "MFD_", "eventfd2": "EFD_", "pipe2": "O_", "dup3": "O_",
    "epoll_create1": "O_", "accept4": "SOCK_", "signalfd4": "O_", "timerfd_create": "O_",
}  # fmt: skip
"""The prefix of the names of a call's flags, by how the call's name begins."""


def _events(value: int) -> str:
    found = [name for name, bit in sorted(_EPOLL.items(), key=lambda one: one[1]) if value & bit == bit and bit]
    return "|".join(found) or "0"


def quoted(data: bytes, length: int | None = None, most: int = _SHOWN) -> str:
    """The first bytes of a text, which has so many."""
    head = data[:most]
    letters = (_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in head)
    return f'"{"".join(letters)}"' + ("..." if (len(data) if length is None else length) > len(head) else "")


def _written(value: Any, deep: int = 0) -> str:
    if isinstance(value, bytes):
        return quoted(value)
    if isinstance(value, Mapping):
        if set(value) <= {"bytes", "head"} and isinstance(value.get("bytes"), int):
            head = value.get("head", b"")
            if isinstance(head, bytes) and (head or not value["bytes"]):
                return quoted(head, value["bytes"])
            return f"<{value['bytes']} B>"
        if isinstance(value.get("fds"), list):
            return f"SCM_RIGHTS {_written(value['fds'], deep + 1)}"
        if isinstance(value.get("type"), str) and "cmsg_len" in value:
            return str(value["type"])[:64]
        if deep > _DEEP:
            return "{...}"
        return "{" + _joined([f"{key}={_written(part, deep + 1)}" for key, part in list(value.items())[:_MANY]]) + "}"
    if isinstance(value, (list, tuple)):
        if deep > _DEEP:
            return "[...]"
        more = ["..."] if len(value) > _MANY else []
        return "[" + _joined([_written(part, deep + 1) for part in value[:_MANY]] + more) + "]"
    return _cut(str(value))


def _joined(parts: list[str]) -> str:
    return _cut(", ".join(parts))


def _cut(text: str) -> str:
    return text if len(text) <= MOST else text[: MOST - 3] + "..."


def _named(call: str, key: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if key in _NAMED:
            return _NAMED[key](value)
        if key == "flags":
            prefix = next((prefix for name, prefix in _FLAGS.items() if call.startswith(name)), "")
            return decode(prefix, value) if prefix and value else hex(value) if value > 9 else str(value)
        if call == "epoll_ctl" and key == "operation":
            return _EPOLL_CTL.get(value, str(value))
        if call == "epoll_ctl" and key == "events":
            return _events(value)
        if call == "fcntl" and key == "command":
            return _FCNTL.get(value, str(value))
        if call.endswith("sockopt") and key == "level":
            return decode("SOL_", value)
        if call.endswith("sockopt") and key == "option":
            return decode("SO_", value)
    return _written(value)


def call(step: Step, began: Step | None = None) -> str:
    """The call as it was made: ``sendmsg(3, ["take"], SCM_RIGHTS [5, 4], 0)``. Of a return the call that it is of,
    `began`, is named alone. A signal and an end have no arguments."""
    if step.call == "signal":
        return f"--- {_cut(str(step.gave.get('signal', '?')))} ---"
    if step.call == "exit":
        return "+++ exit +++"
    if step.call in _NO_CALLS:
        return f"--- {_NO_CALLS[step.call]} ---"
    if step.of:
        return f"<... {step.call} resumed>"
    order = sorted(step.given, key=lambda key: (key == "flags", key == "control"))  # sorted() is stable
    parts = []
    for key in order:
        value = step.given[key]
        if key in _LEFT_OUT:
            continue
        if key == "path" and isinstance(value, Mapping) and isinstance(value.get("head"), bytes):
            parts.append(quoted(value["head"], most=_PATH))
            continue
        if key == "words" and isinstance(value, list):
            parts += [_written(word) for word in value[: _WORDS.get(step.call, 6)]]
        elif key == "control" and isinstance(value, list):
            parts += [_written(part) for part in value[:_MANY]]
        elif key == "control":
            parts.append(f"control={_written(value)}")
        else:
            parts.append(_named(step.call, key, value))
    return f"{step.call}({_joined(parts)})"


def outcome(step: Step) -> str:
    """What it gave: ``= 4``, ``= -1 EAGAIN``, ``= 3  SCM_RIGHTS [3, 5]``; empty: it has not returned yet, or there is
    nothing to give."""
    gave = step.gave
    if step.call == "signal" or step.call in _NO_CALLS or step.blocked:
        return ""
    if step.call == "exit":
        return _cut(f"status {gave['status']}" if "status" in gave else str(gave.get("killed", "")))
    if "errno" in gave:
        return f"= -1 {_cut(str(gave['errno']))}"
    if gave.get("ended"):
        return "= ?"
    if gave.get("again"):
        return "= ? ERESTART"
    parts = [f"= {_written(gave['value'])}" if "value" in gave else "= ?"]
    if "data" in gave:
        parts.append(_written(gave["data"]))
    received = gave.get("received")
    if isinstance(received, Mapping) and isinstance(received.get("control"), list):
        parts += [_written(part) for part in received["control"][:_MANY]]
    messages = gave.get("messages")
    if isinstance(messages, list):
        parts.append(_written(messages))
    made = gave.get("made")
    if isinstance(made, list) and len(made) > 1:
        parts.append(_written(made))
    if "wait" in gave and isinstance(gave["wait"], int):
        parts.append(_waited(gave["wait"]))
    if isinstance(gave.get("revents"), list):
        parts.append(
            "revents " + _written([decode("POLL", one) if isinstance(one, int) else one for one in gave["revents"]])
        )
    return "  ".join(part for part in parts if part)


def _waited(status: int) -> str:
    """A status of wait(2), by its bits: linux/wait.h has none, glibc's bits/waitstatus.h does."""
    if status & 0x7F == 0:
        return f"exit {status >> 8 & 0xFF}"
    if status & 0xFF == 0x7F:
        return f"stopped {signal_name(status >> 8 & 0xFF)}"
    return f"killed {signal_name(status & 0x7F)}"


def transcript(recording: Recording) -> Iterator[str]:
    """All steps in strace's manner, a line each: pid, seconds since the beginning, the call and what it gave. Raises
    NoRecording where a block is damaged.

    A call that waits is ``<unfinished ...>``, and its return ``<... read resumed>``. Equal refusals that the recording
    counts are one line with their number behind it. The line of
    the program's source stands last, where it is known.
    """
    for step in recording.all():
        processes = recording.index.processes
        pid = processes[step.process - 1].pid if 1 <= step.process <= len(processes) else 0
        line = call(step)
        if step.blocked:
            line = f"{line.removesuffix(')')} <unfinished ...>"
        gave = f" {outcome(step)}" if outcome(step) else ""
        again = f"  ({step.count} times)" if step.count > 1 else ""
        source = f"  line {step.line}" if step.line else ""
        tid = step.tid if step.call != "exit" else pid
        yield f"[pid {tid:5}] {step.at_us // 1_000_000}.{step.at_us % 1_000_000:06d} {line}{gave}{again}{source}\n"
