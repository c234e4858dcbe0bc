"""A kind of job: what a worker can do with the descriptors that it is handed.

A new kind is one small file in ``app/pairscope/work/jobs/`` with one subclass of :class:`JobKind`. It runs inside the
closed sandbox (docs/sandbox.md), so it has exactly what its :class:`Task` holds: it opens no path, creates no file,
memfd, socket, process or thread, and maps nothing shared. It reads with pread(2) and writes with pwrite(2), because
whoever sent a descriptor shares its offset (``pairscope.work.stream`` does that).
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from pairscope.ipc import memfd
from pairscope.ipc.payloads import JobSpec
from pairscope.work.sentences import Failure


class JobFailed(Exception):
    """The job cannot be done with this input: the text says what was wrong and what was expected."""


class Task(msgspec.Struct, eq=False, gc=False):
    """What one run of a job has. Both descriptors are borrowed: the worker closes them."""

    kind: str
    name: str = ""
    """The upload's name, as the visitor gave it."""
    parameters: dict[str, Any] = {}
    data: bytes = b""
    """Input without a descriptor."""
    input: int | None = None
    output: int | None = None
    """An empty memfd to write into."""
    spare: bool = False
    """True: a result beyond 64 KiB can travel."""

    def whole_number(self, name: str, default: int, low: int, high: int) -> int:
        """The parameter `name`, as a number or in digits. Raises JobFailed if it is neither or out of range."""
        value = self.parameters.get(name, default)
        number = (
            int(value)
            if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20
            else value
        )
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise JobFailed(Failure.PARAMETER.say(name=name, value=_short(value), first=low, most=high))
        return number


class JobKind:
    """One kind of job. The first line of a subclass's docstring is its summary for people."""

    name: ClassVar[str]
    """At most 16 characters; the bounds of all that a job says of itself stand in ``pairscope.ipc.vocabulary``."""
    deadline: ClassVar[float] = 60.0
    """Seconds after which a worker is killed for it."""
    output: ClassVar[bool] = False
    """True: it writes into an empty memfd."""
    quick: ClassVar[bool] = False
    """True: takes microseconds."""
    needs_input: ClassVar[bool] = True
    parameters: ClassVar[Mapping[str, str]] = {}
    """Name of each parameter and a sentence on what it takes."""
    media: ClassVar[str] = ""
    """Media type of the output."""
    suffix: ClassVar[str] = ""
    """What the download's name gets appended."""

    def run(self, task: Task) -> dict[str, Any]:
        """Does the work. The result is a small dictionary for JSON, below 8 KiB. Raises JobFailed for wrong input."""
        raise NotImplementedError

    def exercise(self) -> None:
        """Goes every way that a run may go once, on tiny real input, before the sandbox closes.

        Whatever is imported, looked up or opened lazily is in memory afterwards; later it would be refused.
        """
        raise NotImplementedError

    def spec(self) -> JobSpec:
        """What the supervisor must know of it."""
        return JobSpec(
            name=self.name,
            summary=(inspect.getdoc(type(self)) or "").partition("\n")[0],
            deadline=self.deadline,
            output=self.output,
            quick=self.quick,
            needs_input=self.needs_input,
            parameters=dict(self.parameters),
            media=self.media,
            suffix=self.suffix,
        )

    def expect(self, task: Task) -> None:
        """Raises JobFailed unless `task` has the descriptors that this job works on and no parameter that it does not
        know."""
        for name in task.parameters:
            if name not in self.parameters:
                names = ", ".join(self.parameters)
                known = Failure.TAKES.say(names=names) if names else Failure.TAKES_NONE.value
                raise JobFailed(Failure.UNKNOWN_PARAMETER.say(name=self.name, value=_short(name), known=known))
        if self.needs_input and task.input is None:
            raise JobFailed(Failure.NO_INPUT.say(name=self.name))
        if self.output and task.output is None:
            raise JobFailed(Failure.NO_OUTPUT.say(name=self.name))

    def attempt(self, data: bytes, **parameters: Any) -> dict[str, Any] | None:
        """One run on memfds made here, for :meth:`exercise`; None where the job says that the input is wrong."""
        source = memfd.sealed(f"exercise of {self.name}", data)
        sink = memfd.empty(f"exercise of {self.name}") if self.output else None
        try:
            return self.run(Task(self.name, "exercise", parameters, b"", source, sink))
        except JobFailed as failure:
            traceback.format_exception(failure)  # reads the source lines of every file on the way while it still can
            return None
        finally:
            os.close(source)
            if sink is not None:
                os.close(sink)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
