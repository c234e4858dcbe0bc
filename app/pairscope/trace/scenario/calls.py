"""What a call of a recording is in a scenario: its line, by what it was given."""

from __future__ import annotations

from collections.abc import Callable

from pairscope.lab.constants import NUMBERS
from pairscope.lab.model import Name, Text, Value
from pairscope.sentence import phrase
from pairscope.trace.scenario.line import (
    LeftOut,
    Line,
    constant,
    flags,
    listed,
    number,
    one_of,
    room,
    socket_type,
    text_of,
)
from pairscope.trace.scenario.messages import recvmsg, sendmsg
from pairscope.trace.scenario.turn import HIDDEN, NOT_HERE, ODD, OUTSIDE, STRANGERS, UNSEEN, Turn, data, sizes, whole


def _socketpair(turn: Turn) -> Line:
    kind = socket_type(turn.number("type"))
    return turn.line("socketpair", one_of("AF_", turn.number("domain")), kind, number(turn.number("protocol")))


def _socket(turn: Turn) -> Line:
    return turn.line(
        "socket",
        one_of("AF_", turn.number("domain")),
        socket_type(turn.number("type")),
        number(turn.number("protocol")),
    )


def _pipe(turn: Turn) -> Line:
    return turn.line("pipe2", flags("O_", turn.number("flags") if turn.step.call == "pipe2" else 0))


def _listen(turn: Turn) -> Line:
    return turn.line("listen", turn.fd(), number(turn.number("backlog")))


def _accept(turn: Turn) -> Line:
    return turn.line("accept", turn.fd())


def _fd_alone(turn: Turn) -> Line:
    return turn.line(turn.step.call, turn.fd())


def _dup_to(turn: Turn) -> Line:
    to = turn.number("to")
    held = turn.table.held.get(to)
    if held is None and ((to in turn.table.taken and to > 2) or not 0 <= to < HIDDEN[0]):
        raise LeftOut(OUTSIDE)
    target = Name(held.name) if held else number(to)
    more = [flags("O_", turn.number("flags"))] if turn.step.call == "dup3" else []
    return turn.line(turn.step.call, turn.fd(), target, *more)


_COMMANDS = {NUMBERS[name]: name for name in ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_SETFL", "F_ADD_SEALS")}


def _fcntl(turn: Turn) -> Line:
    command, argument = _COMMANDS.get(turn.number("command")), turn.number("argument")
    if command is None:
        raise LeftOut(NOT_HERE)
    if command.startswith("F_DUPFD") and argument >= HIDDEN[0] - 8:
        raise LeftOut(ODD)
    prefix = {"F_SETFL": "O_", "F_ADD_SEALS": "F_SEAL_"}.get(command)
    return turn.line("fcntl", turn.fd(), constant(command), flags(prefix, argument) if prefix else number(argument))


def _read(turn: Turn) -> Line:
    fd, size, at = turn.fd(), room(turn.number("size")), turn.given.get("at")
    if at in ("NULL", "BADPTR"):
        return turn.line("read", fd, constant(at), size)
    return turn.line("read", fd, size)


def _readv(turn: Turn) -> Line:
    return turn.line("read", turn.fd(), room(sum(sizes(turn))))


def _write(turn: Turn) -> Line:
    fd, value = turn.fd(), turn.given.get("data")
    if value in ("NULL", "BADPTR"):
        return turn.line("write", fd, constant(value), number(0 if turn.gave.get("value") == 0 else 1))
    if turn.gave.get("errno") == "EFAULT":
        return turn.line("write", fd, constant("BADPTR"), room(data(value)[0]))
    return turn.line("write", fd, turn.text(value))


def _writev(turn: Turn) -> Line:
    fd = turn.fd()
    found = turn.given.get("data")
    return turn.line("write", fd, turn.text(found if found is not None else {"bytes": sum(sizes(turn))}))


def _send(turn: Turn) -> Line:
    return turn.line("send", turn.fd(), turn.text(turn.given.get("data")), flags("MSG_", turn.number("flags")))


def _recv(turn: Turn) -> Line:
    return turn.line("recv", turn.fd(), room(turn.number("size")), flags("MSG_", turn.number("flags")))


def _shutdown(turn: Turn) -> Line:
    return turn.line("shutdown", turn.fd(), one_of("SHUT_", turn.number("how")))


def _level(turn: Turn) -> Value:
    level = turn.number("level")
    return constant("SOL_SOCKET") if level == NUMBERS["SOL_SOCKET"] else number(level)


def _setsockopt(turn: Turn) -> Line:
    fd, level, option = turn.fd(), _level(turn), one_of("SO_", turn.number("option"))
    count, head = data(turn.given.get("value"))
    if len(head) != count:
        raise LeftOut(phrase("their values were not kept"))
    value: Value = number(int.from_bytes(head, "little", signed=True)) if count == 4 else Text(head, 1, True)
    return turn.line("setsockopt", fd, level, option, value)


def _getsockopt(turn: Turn) -> Line:
    if turn.number("option") == NUMBERS["SO_PEERPIDFD"]:
        raise LeftOut(ODD)
    return turn.line("getsockopt", turn.fd(), _level(turn), one_of("SO_", turn.number("option")))


def _memfd(turn: Turn) -> Line:
    return turn.line("memfd_create", text_of(data(turn.given.get("name"))[1]), flags("MFD_", turn.number("flags")))


def _ftruncate(turn: Turn) -> Line:
    return turn.line("ftruncate", turn.fd(), number(turn.number("size")))


def _pread(turn: Turn) -> Line:
    return turn.line("pread", turn.fd(), room(turn.number("size")), number(turn.number("offset")))


def _pwrite(turn: Turn) -> Line:
    return turn.line("pwrite", turn.fd(), turn.text(turn.given.get("data")), number(turn.number("offset")))


def _eventfd(turn: Turn) -> Line:
    return turn.line("eventfd", number(turn.number("value")), flags("EFD_", turn.number("flags")))


def _poll(turn: Turn) -> Line:
    fds, events = turn.given.get("fd"), turn.given.get("events")
    if not isinstance(fds, list) or not isinstance(events, list) or len(fds) != len(events):
        raise LeftOut(UNSEEN)
    if turn.step.call == "ppoll":
        timeout = turn.number("timeout_ns") // 1_000_000 if "timeout_ns" in turn.given else -1
    else:
        timeout = turn.number("timeout")
    named = [_polled(turn, whole(one)) for one in fds]
    wanted = [flags("POLL", whole(one)) for one in events]
    if len(named) == 1:
        return turn.line("poll", named[0], wanted[0], number(timeout))
    return turn.line("poll", listed(named), listed(wanted), number(timeout))


def _polled(turn: Turn, found: int) -> Value:
    return number(-1) if found < 0 else turn.descriptor(found)


def _pidfd_open(turn: Turn) -> Line:
    return turn.line("pidfd_open", turn.process(turn.number("process")), flags("O_", turn.number("flags")))


def _pidfd_send_signal(turn: Turn) -> Line:
    return turn.line("pidfd_send_signal", turn.fd(), one_of("SIG", turn.number("signal")))


def _kill(turn: Turn) -> Line:
    pid = turn.number("process")
    if pid <= 0:
        raise LeftOut(STRANGERS)
    return turn.line("kill", turn.process(pid), one_of("SIG", turn.number("signal")))


def _tgkill(turn: Turn) -> Line:
    words = turn.given.get("words")
    if not isinstance(words, list) or len(words) < 3:
        raise LeftOut(UNSEEN)
    found = [whole(one) for one in words]
    pid, tid, what = found[:3] if turn.step.call == "tgkill" else (found[0], found[0], found[1])
    if pid != tid:
        raise LeftOut(NOT_HERE)
    return turn.line("kill", turn.process(pid), one_of("SIG", what))


def _wait(turn: Turn) -> Line:
    pid, options = turn.number("process"), turn.number("options")
    if pid > 0:
        return turn.line("waitpid", turn.process(pid), flags("W", options))
    if not options or "errno" in turn.gave:
        return turn.line("wait")
    came = turn.gave.get("value")
    if isinstance(came, int) and came > 0:
        return turn.line("waitpid", turn.process(came), flags("W", options))
    living = [one.main for one in turn.actor.process.children if not one.reaped and one.main]
    if not living:
        raise LeftOut(STRANGERS)
    return turn.line("waitpid", Name(living[0].name), flags("W", options))


LINES: dict[str, Callable[[Turn], Line]] = {
    "socketpair": _socketpair, "socket": _socket, "pipe": _pipe, "pipe2": _pipe, "listen": _listen,
    "accept": _accept, "accept4": _accept, "close": _fd_alone, "dup": _fd_alone, "dup2": _dup_to, "dup3": _dup_to,
    "fcntl": _fcntl, "read": _read, "readv": _readv, "write": _write, "writev": _writev, "sendto": _send,
    "recvfrom": _recv, "sendmsg": sendmsg, "recvmsg": recvmsg, "shutdown": _shutdown, "setsockopt": _setsockopt,
    "getsockopt": _getsockopt, "memfd_create": _memfd, "ftruncate": _ftruncate, "pread64": _pread,
    "pwrite64": _pwrite, "eventfd2": _eventfd, "poll": _poll, "ppoll": _poll, "pidfd_open": _pidfd_open,
    "pidfd_send_signal": _pidfd_send_signal, "kill": _kill, "tgkill": _tgkill, "tkill": _tgkill, "wait4": _wait,
}  # fmt: skip
"""By the kernel's name. bind and connect are told by :mod:`pairscope.trace.scenario.places`."""
