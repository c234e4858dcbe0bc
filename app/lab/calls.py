"""The one table of the system calls that a scenario may make; the parser, the stage and docs/lab.md follow it."""

from __future__ import annotations

import dataclasses

KINDS = {
    "fd": "a descriptor's name, or a number",
    "number": "a number or constants",
    "text": "a text",
    "process": "a process's name",
    "list": "a list in brackets",
    "buffer": "a text, a number of bytes, or BADPTR",
}
"""What an argument takes, in words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Argument:
    name: str
    takes: str
    """One of KINDS."""
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Argument, ...]
    named: tuple[Argument, ...]
    binds: str
    """What ``->`` names: ``none``, ``one`` or ``two`` descriptors, a ``process``, or what was ``received``."""
    manual: str
    summary: str
    blocks: bool = False
    """True: it may wait in the kernel."""


def _arguments(text: str) -> tuple[Argument, ...]:
    """Reads ``fd:fd size:number?``."""
    found = []
    for word in text.split():
        name, _, takes = word.partition(":")
        found.append(Argument(name, takes.rstrip("?"), takes.endswith("?")))
    return tuple(found)


def _call(name: str, arguments: str, binds: str, manual: str, summary: str, blocks: bool = False, named: str = "") -> Call:
    return Call(name, _arguments(arguments), _arguments(named), binds, manual, summary, blocks)


CALLS = {
    call.name: call
    for call in (
        _call("socketpair", "domain:number type:number protocol:number", "two", "socketpair(2)", "two sockets, connected to each other"),
        _call("pipe2", "flags:number", "two", "pipe(2)", "a pipe: the end to read, then the end to write"),
        _call("socket", "domain:number type:number protocol:number", "one", "socket(2)", "a socket that is connected to nothing"),
        _call("fork", "", "process", "fork(2)", "a child with copies of all descriptors"),
        _call("thread", "", "process", "pthread_create(3)", "a thread that shares the table of descriptors"),
        _call("close", "fd:fd", "none", "close(2)", "gives a number back"),
        _call("dup", "fd:fd", "one", "dup(2)", "another number for the same open file description"),
        _call("dup2", "fd:fd to:fd", "one", "dup(2)", "the same at a number of one's choice"),
        _call("dup3", "fd:fd to:fd flags:number", "one", "dup(2)", "the same, with O_CLOEXEC"),
        _call("read", "fd:fd size:buffer count:number?", "none", "read(2)", "takes bytes out", blocks=True),
        _call("write", "fd:fd data:buffer count:number?", "none", "write(2)", "puts bytes in", blocks=True),
        _call("send", "fd:fd data:buffer flags:number", "none", "send(2)", "puts bytes into a socket, with flags", blocks=True),
        _call("recv", "fd:fd size:buffer flags:number", "none", "recv(2)", "takes bytes out of a socket, with flags", blocks=True),
        _call(
            "sendmsg", "fd:fd", "none", "sendmsg(2)", "sends gathered bytes, descriptors and credentials", blocks=True,
            named="iov:list fds:list? creds:list? flags:number?",
        ),
        _call(
            "recvmsg", "fd:fd", "received", "recvmsg(2)", "receives scattered bytes and what came beside them", blocks=True,
            named="iov:list control:number? flags:number?",
        ),
        _call("shutdown", "fd:fd how:number", "none", "shutdown(2)", "ends one or both directions for every holder"),
        _call("setsockopt", "fd:fd level:number option:number value:number", "none", "setsockopt(2)", "sets an option"),
        _call("getsockopt", "fd:fd level:number option:number", "none", "getsockopt(2)", "asks for an option"),
        _call("fcntl", "fd:fd command:number argument:number?", "none", "fcntl(2)", "asks or changes what a descriptor is"),
        _call("open", "name:text flags:number mode:number?", "one", "open(2)", "opens a file of the run's scratch directory"),
        _call("memfd_create", "name:text flags:number", "one", "memfd_create(2)", "a file that lives in memory alone"),
        _call("ftruncate", "fd:fd size:number", "none", "ftruncate(2)", "sets a file's size"),
        _call("lseek", "fd:fd offset:number whence:number", "none", "lseek(2)", "moves the offset of the open file description"),
        _call("pread", "fd:fd size:number offset:number", "none", "pread(2)", "reads without moving the offset"),
        _call("pwrite", "fd:fd data:text offset:number", "none", "pwrite(2)", "writes without moving the offset"),
        _call("eventfd", "value:number flags:number", "one", "eventfd(2)", "a counter to wait for"),
        _call("poll", "fd:fd events:number timeout:number", "none", "poll(2)", "waits until a descriptor is ready", blocks=True),
        _call("pidfd_open", "process:process flags:number", "one", "pidfd_open(2)", "a descriptor that stands for a process"),
        _call("signal", "signal:number handler:number", "none", "signal(2)", "says what a signal does: SIG_DFL, SIG_IGN, HANDLER"),
        _call("kill", "process:process signal:number", "none", "kill(2)", "sends a signal to a process of this run"),
        _call("waitpid", "process:process options:number", "none", "waitpid(2)", "takes leave of a child", blocks=True),
        _call("exit", "status:number", "none", "_exit(2)", "ends the process, and closes all that it held"),
    )
}

EXPECTED = {
    "flags": "msg_flags of what came",
    "fds": "how many descriptors came",
    "status": "the exit status that wait gave",
    "killed": "the signal that ended the child, from wait",
    "revents": "what poll found",
    "value": "what an option or a counter held",
}
"""Keys of an expectation."""


def usage(call: Call) -> str:
    """How it is written: ``sendmsg fd iov= [fds=] -> ...``."""
    words = [call.name]
    words += [f"[{argument.name}]" if argument.optional else argument.name for argument in call.arguments]
    words += [f"[{argument.name}=]" if argument.optional else f"{argument.name}=" for argument in call.named]
    return " ".join(words)


def table() -> str:
    """The calls as a table for docs/lab.md."""
    lines = ["| written | what it does | binds | may block | manual |", "|---|---|---|---|---|"]
    for call in CALLS.values():
        binds = {"none": "", "one": "a descriptor", "two": "two descriptors", "received": "the descriptors that came"}.get(call.binds, "a process")
        lines.append(f"| `{usage(call)}` | {call.summary} | {binds} | {'yes' if call.blocks else ''} | {call.manual} |")
    return "\n".join(lines) + "\n"
