"""What a call is: a class, of which each call of the lab is one, with all that any part of the lab knows of it."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from pairscope.lab.calls.decoding import Return as Return
from pairscope.lab.calls.libc import Made as Made
from pairscope.lab.calls.programs import Actor as Actor  # `as`: the file of a call takes all from here
from pairscope.lab.calls.programs import CProgram as CProgram
from pairscope.lab.calls.programs import PythonProgram as PythonProgram
from pairscope.lab.calls.programs import Turn as Turn
from pairscope.lab.calls.results import Returned as Returned
from pairscope.lab.calls.results import plain_line as plain_line
from pairscope.lab.calls.strace import Traced as Traced
from pairscope.lab.calls.strace import Words as Words
from pairscope.lab.calls.strace import plain_strace as plain_strace
from pairscope.lab.constants import NUMBERS
from pairscope.lab.model import Step, Value
from pairscope.sentence import phrase

MACHINE = "x86_64" if platform.machine() == "x86_64" else "aarch64"

KINDS: dict[str, str] = {
    "fd": phrase("a descriptor's name, or a number"),
    "number": phrase("a number or constants"),
    "flags": phrase("constants joined by |, or a number"),
    "size": phrase("a number of bytes, at most 1M"),
    "any": phrase("a number, constants or a text"),
    "text": phrase("a text"),
    "file": phrase('the name of a file in the scratch directory, such as "f", without a /'),
    "address": phrase(
        'a file\'s name such as "s", an abstract one such as "\\0s", or "127.0.0.1:PORT" or "[::1]:PORT"'
    ),
    "process": phrase("a process's name"),
    "id": phrase("a process's name, or a number"),
    "room": phrase("a number of bytes, at most 1M, or NULL or BADPTR for its address"),
    "data": phrase("a text, or NULL or BADPTR for its address"),
    "pointer": phrase("NULL or BADPTR"),
    "handler": phrase("SIG_DFL, SIG_IGN or HANDLER"),
    "signal": phrase("the name of a signal"),
    "list": phrase("a list in brackets"),
}
"""What an argument takes, in words. Calls add kinds of their own, of which only some numbers will do: CHOICES."""
CHOICES: dict[str, tuple[str, ...]] = {}
"""Of those: the constants that stand for the numbers."""


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
        listed = phrase("a list in brackets, each %(kind)s", kind=KINDS[self.of])
        return listed if self.takes == "list" else phrase("%(one)s; or %(list)s", one=KINDS[self.takes], list=listed)


def arguments_of(text: str) -> tuple[Argument, ...]:
    """Reads ``fd:fd iov:list/text size:number?``."""
    found = []
    for word in text.split():
        name, _, takes = word.partition(":")
        takes, _, of = takes.rstrip("?").partition("/")
        found.append(Argument(name, takes, word.endswith("?"), of))
    return tuple(found)


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """A kind of argument of which only some numbers will do."""

    names: tuple[str, ...]
    """The constants that stand for them."""
    words: str = ""
    """In place of ``one of`` and the names."""
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    """Of constants that the table of constants has not, and gets from here."""


@dataclasses.dataclass(frozen=True, slots=True)
class Clash:
    """An argument that does not go with another."""

    at: int
    """Its index; as many as there are: it is missing."""
    expected: str
    found: str = ""
    """Empty: the argument as it stands."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """A call as one architecture's kernel has it: asm/unistd_64.h of x86, asm-generic/unistd.h of the others."""

    name: str
    """Behind ``__NR_``."""
    number: int


def numbered(name: str, x86_64: int, aarch64: int, *, there: str = "") -> dict[str, Kernel]:
    """What the C library calls. `there`: its name on aarch64, where that is another."""
    return {"x86_64": Kernel(name, x86_64), "aarch64": Kernel(there or name, aarch64)}


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """A call of the kernel that seccomp lets an actor make."""

    call: str
    when: tuple[tuple[int, int, int], ...] = ()
    """Position of an argument, mask and value: each must hold. None: whatever the arguments."""
    told: str = ""
    """The condition in words."""


def word(position: int, value: int) -> tuple[int, int, int]:
    """An argument that the kernel reads as an int: 32 bits."""
    return position, 0xFFFF_FFFF, value & 0xFFFF_FFFF


def allow(*names: str) -> tuple[Allowed, ...]:
    """These calls of the kernel, whatever their arguments."""
    return tuple(map(Allowed, names))


class Observed:
    """A call of the kernel, as it is read from outside. Real programs make more calls than scenarios do; those that
    scenarios do not make have these pieces alone.

    A subclass that has a name is a call, and must have all PIECES, its own or inherited: one that lacks any cannot be
    imported."""

    PIECES: ClassVar = {
        "kernel": "the kernel's name and number of it, by architecture",
        "by_registers": "how it is told by registers and memory",
        "gave": "what it wrote, by registers and memory at its return",
    }

    name: ClassVar[str]
    kernel: ClassVar[dict[str, Kernel]]
    """By architecture."""
    by_registers: Any = None
    """``by_registers(words, memory, most)``: what the kernel was given, by the six words of a call's registers and a
    function that reads the memory of whoever made it; of each text at most so many bytes. See
    :mod:`pairscope.lab.calls.decoding`."""
    gave: Any = None
    """``gave(back)``: what it wrote into memory where it has not failed, under the keys that `make` has. Others ask
    :meth:`outcome`."""

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            for piece, what in cls.PIECES.items():
                if getattr(cls, piece, None) is None:
                    raise TypeError(f"{cls.__module__}: the call {cls.name} has no {piece}: {what}")

    def outcome(self, back: Return) -> Made:
        """What came of the call, by a process's registers and memory at its return: ``value`` and ``errno`` as the C
        library would have them, and what it wrote into memory, as `make` tells it; bytes are
        :class:`~pairscope.lab.calls.decoding.Data`. What can no longer be read is not there. ``again`` in place of all
        these: no return, the kernel takes the call up again once a signal has been handled."""
        if back.restarts:
            return {"again": True}
        if back.failed:
            return {"value": -1, "errno": -back.value}
        made: Made = {"value": back.value, "errno": 0}
        with contextlib.suppress(OSError):
            made |= self.gave(back)
        return made


class Call(Observed):
    """A call of the lab."""

    PIECES: ClassVar = {
        **Observed.PIECES,
        "takes": "the grammar of its arguments",
        "binds": "what its names stand for",
        "manual": "its page of the manual",
        "summary": "what it does, in words",
        "blocks": "whether it may block",
        "seccomp": "what seccomp lets an actor call for it",
        "make": "how it is made through the C library",
        "by_arguments": "how it is told by our own arguments",
        "c": "its step in C",
        "python": "its step in Python",
        "line": "its line of what a run observed",
        "strace": "its arguments as strace writes them",
    }

    takes: ClassVar[str]
    """The arguments, as :func:`arguments_of` reads them."""
    takes_named: ClassVar[str] = ""
    """Those that are given by name."""
    choices: ClassVar[dict[str, Choice]] = {}
    """Kinds of arguments that this call brings along."""
    binds: ClassVar[str]
    """What ``->`` names: ``none``, ``one`` or ``two`` descriptors, a ``process``, or what was ``received``."""
    binds_for: ClassVar[tuple[str, ...]] = ()
    """Where the second argument must be one of these for anything to be made."""
    expects: ClassVar[tuple[str, ...]] = ()
    """Keys that an expectation may have of it, beside ``killed``."""
    manual: ClassVar[str]
    summary: ClassVar[str]
    blocks: ClassVar[bool]
    """True: it may wait in the kernel; or, of a signal that stops its own sender, it returns when that is let go on."""
    seccomp: ClassVar[tuple[Allowed, ...]]
    declares: ClassVar[str] = ""
    """A variable that its steps in C share: ``int pair[2];``."""

    arguments: ClassVar[tuple[Argument, ...]]
    named: ClassVar[tuple[Argument, ...]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            return
        for kind, choice in cls.choices.items():
            KINDS[kind] = choice.words or phrase("one of %(known)s", known=", ".join(choice.names))
            CHOICES[kind] = choice.names
            NUMBERS.update(choice.numbers)
        cls.arguments, cls.named = arguments_of(cls.takes), arguments_of(cls.takes_named)

    @property
    def sysno(self) -> str:
        """The kernel's name of the call that the C library makes on x86_64."""
        return self.kernel["x86_64"].name

    make: Any = None
    """Makes the call, with resolved values (numbers, bytes; a text as its piece and how often). Nothing is checked or
    mended: a wrong argument is the kernel's to judge."""
    by_arguments: Any = None
    """``by_arguments(arguments, named, most)``: the same by arguments as `make` takes them."""
    c: Any = None
    """``c(program, actor, turn)``: the statements of a step."""
    python: Any = None
    """The same in Python."""

    line: Any = None
    """``line(returned)``: what it gave, where that is no error: ``17 "SOCKET PAIR TEST."``. See
    :mod:`pairscope.lab.calls.results`."""
    strace: Any = None
    """``strace(traced)``: the arguments as strace writes them. See :mod:`pairscope.lab.calls.strace`."""
    kernels_value: ClassVar[bool] = True
    """Whether the number that the C library gives is the kernel's own; else strace's line has ``?``."""
    returns: ClassVar[bool] = True
    """False: nobody is there any more to whom it could return."""
    breaks_pipe: ClassVar[bool] = False
    """Whether it brings SIGPIPE on who makes it where nobody can read any more."""
    signals: ClassVar[bool] = False
    """Whether it sends the signal that is its second argument to the process that is its first one, by its name or by
    a descriptor."""

    def meaning(self, returned: Returned) -> str:
        """What the number that it returned stands for; empty: for itself."""
        return ""

    def strace_value(self, traced: Traced) -> str:
        """What strace writes behind ``=`` where it has returned without an error."""
        return str(traced.result.value)

    def born(self, traced: Traced) -> int | None:
        """The number of the process or thread that it has made; None: it has made none."""
        return None

    def sent_flags(self, step: Step) -> int:
        """The flags of a call that sends."""
        return 0

    def file(self, step: Step) -> bytes:
        """The name of the file that a step may make in its directory; empty: it makes none."""
        return b""

    def clash(self, arguments: Sequence[Value]) -> Clash | None:
        """Where one argument is not as another asks it to be; None: they agree."""
        return None

    def room(self, step: Step) -> int:
        """Bytes that a step in C reads into ``text``; 0: it does not."""
        return 0

    def control_room(self, step: Step) -> int:
        """Bytes of control data that a step receives into ``control``; 0: none."""
        return 0


def made_by_its_actor(self: Call, *_: Any, **__: Any) -> NoReturn:
    """Of calls that change who acts: the actor makes them itself."""
    raise LookupError(f"{self.name} is made by the actor itself")


def plain_c(self: Call, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
    """A call whose arguments are ints alone, and that gives a number."""
    arguments = ", ".join(map(program.number, turn.step.arguments))
    return [program.told("tell", f"{self.name}({arguments})")]


def naming_c(self: Call, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
    """The same of one that makes a descriptor."""
    return [program.named(turn, f"{self.name}({', '.join(map(program.number, turn.step.arguments))})")]


def plain_python(self: Call, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
    """A call that the module os has under its own name, with ints as arguments."""
    return [f"tell(os.{self.name}({', '.join(map(program.number, turn.step.arguments))}))"]
