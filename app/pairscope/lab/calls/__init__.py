"""The calls that a scenario may make: one class for each, in a file for each family.

**What a call is** stands in :class:`pairscope.lab.calls.call.Call`: its grammar, what its names stand for, its page of
the manual, the kernel's name and number of it by architecture, whether it may block, what seccomp lets an actor call
for it, how it is made through the C library, how it is told by our own arguments and by a process's registers and
memory, its step in an exported program in C and in Python, and how a run's lines and strace's lines tell it. The
parser, the stage, its confinement, the exports, the pages and docs/lab.md read all that here, and nobody lists calls a
second time. A piece that a call lacks is an error when this package is imported; the error names the call and the
piece.

**Adding a call** is a class in a module of this package, a new one or that of its family, and tests. Each module is
found by itself; a new one comes behind the families that are named below, which is the order of the tables that people
read. `python -m pairscope.lab.tables docs/lab.md` writes the document's table.

A call that real programs make and scenarios do not, such as epoll_wait, is an
:class:`~pairscope.lab.calls.call.Observed`: it has the pieces by which it is read from outside, and no others.

What a call's file knows of programs is :mod:`pairscope.lab.calls.programs`, of ctypes :mod:`pairscope.lab.calls.libc`,
of a step's values :mod:`pairscope.lab.given`, of lines :mod:`pairscope.lab.calls.results` and
:mod:`pairscope.lab.calls.strace`. It knows nothing of the stage and of the exports, which are built upon
this table.
"""

from __future__ import annotations

import importlib
import pkgutil

from pairscope.lab.calls.call import CHOICES, KINDS, MACHINE, Argument, Call, Observed, arguments_of

__all__ = [
    "CALLS", "CHOICES", "EXPECTED", "EXPECTED_OF", "EXPECTED_TAKES", "KINDS", "MACHINE", "OBSERVED", "Argument", "Call",
    "Observed", "usage",
]  # fmt: skip

_FAMILIES = (
    "pair", "address", "birth", "descriptors", "io", "sendmsg", "recvmsg", "options", "control", "files",
    "waiting", "pidfd", "signals", "ending",
)  # fmt: skip
"""In the order in which people read of them."""


def _found() -> dict[str, Observed]:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found: dict[str, Observed] = {}
    for name in (*_FAMILIES, *sorted(set(names) - set(_FAMILIES))):
        module = importlib.import_module(f"{__name__}.{name}")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Observed) and "name" in vars(each):
                found.setdefault(each.name, each())
    return found


OBSERVED = _found()
"""Every call that is read from outside, by its name: those of scenarios and those that real programs alone make."""
CALLS = {name: call for name, call in OBSERVED.items() if isinstance(call, Call)}
"""The calls of scenarios, by their names."""

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
EXPECTED_OF = {key: tuple(sorted(name for name, call in CALLS.items() if key in call.expects)) for key in EXPECTED}
"""Of which calls; none: of all."""

EXPECTED_TAKES = {
    argument.name: argument
    for argument in arguments_of(
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
