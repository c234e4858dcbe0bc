"""The one table of the system calls that a scenario may make; the parser, the stage and docs/lab.md follow it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from pairscope.lab.constants import NUMBERS

DOMAINS = ("AF_UNIX", "AF_INET", "AF_INET6")
COMMANDS = (
    "F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_GETPIPE_SZ", "F_SETPIPE_SZ",
    "F_GET_SEALS", "F_ADD_SEALS",
)  # fmt: skip
"""Of fcntl. Others signal somebody, or take an address."""
OPTIONS = tuple(
    name
    for name in NUMBERS
    if name.startswith("SO_")
    and name not in ("SO_ATTACH_FILTER", "SO_ATTACH_BPF", "SO_ATTACH_REUSEPORT_CBPF", "SO_ATTACH_REUSEPORT_EBPF")
)
"""Of setsockopt. Others hand the kernel a program."""

SETTABLE = tuple(
    name
    for name in OPTIONS
    if name
    not in (
        "SO_ERROR",
        "SO_PEERPIDFD",
        "SO_PEERCRED",
        "SO_PEERGROUPS",
        "SO_PEERSEC",
        "SO_INCOMING_CPU",
        "SO_INCOMING_NAPI_ID",
        "SO_MEMINFO",
        "SO_COOKIE",
    )
)
"""Options whose value a look may ask for: of the others one is taken by the look, one makes a descriptor, some nobody
sets or the kernel changes by chance."""

KINDS = {
    "fd": "a descriptor's name, or a number",
    "number": "a number or constants",
    "flags": "constants joined by |, or a number",
    "size": "a number of bytes, at most 1M",
    "any": "a number, constants or a text",
    "text": "a text",
    "domain": "one of " + ", ".join(DOMAINS),
    "level": "SOL_SOCKET",
    "option": "an option by its name, such as SO_PASSCRED",
    "command": "one of " + ", ".join(COMMANDS),
    "file": 'the name of a file in the scratch directory, such as "f", without a /',
    "address": 'a file\'s name such as "s", an abstract one such as "\\0s", or "127.0.0.1:PORT" or "[::1]:PORT"',
    "process": "a process's name",
    "id": "a process's name, or a number",
    "room": "a number of bytes, at most 1M, or NULL or BADPTR for its address",
    "data": "a text, or NULL or BADPTR for its address",
    "pointer": "NULL or BADPTR",
    "handler": "SIG_DFL, SIG_IGN or HANDLER",
    "signal": "the name of a signal",
    "list": "a list in brackets",
}
"""What an argument takes, in words. Of domains, levels, options and commands a scenario has those that reach nothing
beyond its run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Argument:
    name: str
    takes: str
    """One of KINDS."""
    optional: bool = False
    of: str = ""
    """What each value of a list takes. With another kind than ``list``: one value, or a list of `of`."""

    @property
    def wanted(self) -> str:
        """What it takes, in words."""
        if not self.of:
            return KINDS[self.takes]
        listed = f"a list in brackets, each {KINDS[self.of]}"
        return listed if self.takes == "list" else f"{KINDS[self.takes]}; or {listed}"


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Argument, ...]
    named: tuple[Argument, ...]
    binds: str
    """What ``->`` names: ``none``, ``one`` or ``two`` descriptors, a ``process``, or what was ``received``."""
    manual: str
    summary: str
    sysno: str
    """The kernel's name of the call that the C library makes on x86_64, as headers have it after ``__NR_``."""
    blocks: bool = False
    """True: it may wait in the kernel; or, of a signal that stops its own sender, it returns when that is let go on."""
    binds_for: tuple[str, ...] = ()
    """Where the second argument must be one of these for anything to be made."""


def _arguments(text: str) -> tuple[Argument, ...]:
    """Reads ``fd:fd iov:list/text size:number?``."""
    found = []
    for word in text.split():
        name, _, takes = word.partition(":")
        takes, _, of = takes.rstrip("?").partition("/")
        found.append(Argument(name, takes, word.endswith("?"), of))
    return tuple(found)


def _call(
    name: str, arguments: str, binds: str, manual: str, summary: str, *, sysno: str = "", blocks: bool = False,
    named: str = "",
    binds_for: tuple[str, ...] = (),
) -> Call:  # fmt: skip
    return Call(
        name, _arguments(arguments), _arguments(named), binds, manual, summary, sysno or name, blocks, binds_for
    )


CALLS = {
    call.name: call
    for call in (
        _call(
            "socketpair",
            "domain:domain type:flags protocol:number",
            "two",
            "socketpair(2)",
            "two sockets, connected to each other",
        ),
        _call("pipe2", "flags:flags", "two", "pipe(2)", "a pipe: the end to read, then the end to write"),
        _call("pipe", "", "two", "pipe(2)", "the same without flags"),
        _call(
            "socket",
            "domain:domain type:flags protocol:number",
            "one",
            "socket(2)",
            "a socket that is connected to nothing",
        ),
        _call(
            "bind",
            "fd:fd address:address",
            "none",
            "bind(2)",
            "gives a socket its address: a file, an abstract name, or a loopback port",
        ),
        _call("listen", "fd:fd backlog:number", "none", "listen(2)", "makes a socket one that connections come to"),
        _call(
            "connect",
            "fd:fd address:address",
            "none",
            "connect(2)",
            "connects a socket to that of an address",
            blocks=True,
        ),
        _call("accept", "fd:fd", "one", "accept(2)", "takes the next connection that has come", blocks=True),
        _call("fork", "", "process", "fork(2)", "a child with copies of all descriptors", sysno="clone"),
        _call(
            "thread",
            "",
            "process",
            "pthread_create(3)",
            "a thread that shares the table of descriptors",
            sysno="clone3",
        ),
        _call("close", "fd:fd", "none", "close(2)", "gives a number back"),
        _call("dup", "fd:fd", "one", "dup(2)", "another number for the same open file description"),
        _call("dup2", "fd:fd to:fd", "one", "dup(2)", "the same at a number of one's choice"),
        _call("dup3", "fd:fd to:fd flags:flags", "one", "dup(2)", "the same, with O_CLOEXEC"),
        _call("read", "fd:fd size:room count:size?", "none", "read(2)", "takes bytes out", blocks=True),
        _call("write", "fd:fd data:data count:size?", "none", "write(2)", "puts bytes in", blocks=True),
        _call(
            "send",
            "fd:fd data:text flags:flags",
            "none",
            "send(2)",
            "puts bytes into a socket, with flags",
            sysno="sendto",
            blocks=True,
        ),
        _call(
            "recv",
            "fd:fd size:size flags:flags",
            "none",
            "recv(2)",
            "takes bytes out of a socket, with flags",
            sysno="recvfrom",
            blocks=True,
        ),
        _call(
            "sendmsg",
            "fd:fd",
            "none",
            "sendmsg(2)",
            "sends gathered bytes, descriptors and credentials",
            blocks=True,
            named="iov:list/text fds:list/fd? creds:list/id? control:size? flags:flags? raw:text? cmsg_len:number? "
            "bad_iov:pointer?",
        ),
        _call(
            "recvmsg",
            "fd:fd",
            "received",
            "recvmsg(2)",
            "receives scattered bytes and what came beside them",
            blocks=True,
            named="iov:list/size control:size? flags:flags? bad_iov:pointer?",
        ),
        _call("shutdown", "fd:fd how:number", "none", "shutdown(2)", "ends one or both directions for every holder"),
        _call("setsockopt", "fd:fd level:level option:option value:any", "none", "setsockopt(2)", "sets an option"),
        _call("getsockopt", "fd:fd level:number option:number", "none", "getsockopt(2)", "asks for an option"),
        _call(
            "fcntl",
            "fd:fd command:command argument:flags?",
            "one",
            "fcntl(2)",
            "asks or changes what a descriptor is",
            binds_for=("F_DUPFD", "F_DUPFD_CLOEXEC"),
        ),
        _call(
            "open",
            "name:file flags:flags mode:number?",
            "one",
            "open(2)",
            "opens a file of the run's scratch directory",
            sysno="openat",
        ),
        _call("memfd_create", "name:text flags:flags", "one", "memfd_create(2)", "a file that lives in memory alone"),
        _call("ftruncate", "fd:fd size:number", "none", "ftruncate(2)", "sets a file's size"),
        _call(
            "lseek",
            "fd:fd offset:number whence:number",
            "none",
            "lseek(2)",
            "moves the offset of the open file description",
        ),
        _call(
            "pread",
            "fd:fd size:size offset:number",
            "none",
            "pread(2)",
            "reads without moving the offset",
            sysno="pread64",
        ),
        _call(
            "pwrite",
            "fd:fd data:text offset:number",
            "none",
            "pwrite(2)",
            "writes without moving the offset",
            sysno="pwrite64",
        ),
        _call("eventfd", "value:number flags:flags", "one", "eventfd(2)", "a counter to wait for", sysno="eventfd2"),
        _call(
            "poll",
            "fd:fd/fd events:flags/flags timeout:number",
            "none",
            "poll(2)",
            "waits until a descriptor is ready: one or a list, events for all or a list, milliseconds",
            blocks=True,
        ),
        _call(
            "pidfd_open",
            "process:process flags:flags",
            "one",
            "pidfd_open(2)",
            "a descriptor that stands for a process",
        ),
        _call(
            "pidfd_send_signal",
            "fd:fd signal:number",
            "none",
            "pidfd_send_signal(2)",
            "sends a signal through such a descriptor",
            blocks=True,
        ),
        _call(
            "signal",
            "signal:number handler:handler",
            "none",
            "signal(2)",
            "says what a signal does",
            sysno="rt_sigaction",
        ),
        _call(
            "kill",
            "process:process signal:number",
            "none",
            "kill(2)",
            "sends a signal to a process of this run",
            blocks=True,
        ),
        _call(
            "waitpid",
            "process:id options:flags",
            "none",
            "waitpid(2)",
            "takes leave of a child",
            sysno="wait4",
            blocks=True,
        ),
        _call(
            "wait",
            "process:id? options:flags?",
            "none",
            "wait(2)",
            "the same: of any child, and without options, unless they are said",
            sysno="wait4",
            blocks=True,
        ),
        _call(
            "exit",
            "status:number",
            "none",
            "_exit(2)",
            "ends the process, and closes all that it held",
            sysno="exit_group",
        ),
    )
}

EXPECTED = {
    "flags": "msg_flags of what came",
    "fds": "how many descriptors came",
    "status": "the exit status that wait gave",
    "killed": "the signal that ended the child, from wait; of any other call, the signal that its caller did not "
    "survive",
    "stopped": "the signal that stopped the child, from wait with WUNTRACED",
    "continued": "SIGCONT, from wait with WCONTINUED, where the child was let go on",
    "revents": "what poll found",
    "value": "what an option or a counter held; of several numbers the first may do",
    "creds": "the process, the user and the group that came; the first may do",
}
"""Keys of an expectation."""
EXPECTED_OF = {
    "flags": ("recvmsg",), "fds": ("recvmsg",), "creds": ("recvmsg",), "status": ("wait", "waitpid", "exit"),
    "killed": (),
    "stopped": ("wait", "waitpid"), "continued": ("wait", "waitpid"),
    "revents": ("poll",), "value": ("getsockopt", "read"),
}  # fmt: skip
"""Of which calls; none: of all."""

EXPECTED_TAKES = {
    argument.name: argument
    for argument in _arguments(
        "flags:flags fds:size status:number killed:signal stopped:signal continued:signal revents:flags/flags "
        "value:any/id creds:list/id"
    )
}
"""What each of the keys takes."""


def usage(call: Call) -> str:
    """How it is written: ``sendmsg fd iov= [fds=] -> ...``."""
    words = [call.name]
    words += [f"[{argument.name}]" if argument.optional else argument.name for argument in call.arguments]
    words += [f"[{argument.name}=]" if argument.optional else f"{argument.name}=" for argument in call.named]
    return " ".join(words)


def table() -> str:
    """The calls as a table of a page."""
    lines = ["| written | what it does | binds | may block | manual |", "|---|---|---|---|---|"]
    for call in CALLS.values():
        less = f", with {' or '.join(call.binds_for)}" if call.binds_for else ""
        binds = {
            "none": "",
            "one": "a descriptor",
            "two": "two descriptors",
            "received": "the descriptors that came",
        }.get(call.binds, "a process") + less
        lines.append(f"| `{usage(call)}` | {call.summary} | {binds} | {'yes' if call.blocks else ''} | {call.manual} |")
    return "\n".join(lines) + "\n"


def fill(text: str, name: str = "calls", made: str = "") -> str:
    """`text` with what stands between the marks ``<!-- name -->`` made anew: this table, or `made`. Raises ValueError
    if a mark is missing."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    start = text.index(begin) + len(begin)
    return text[:start] + (made or table()) + text[text.index(end, start) :]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text()))
