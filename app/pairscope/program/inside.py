"""The first process of a box: furnishes it, compiles, records the program, and tells the result."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import msgspec

from pairscope.program import box, compiling, confine
from pairscope.program.bounds import Bounds
from pairscope.program.request import Program, Unran
from pairscope.program.sentences import Unrun
from pairscope.program.watch import Watch
from pairscope.sentence import Sentence
from pairscope.trace import recorder
from pairscope.trace.launch import Refused
from pairscope.trace.python_lines import PythonLines
from pairscope.trace.recording import Remark
from pairscope.trace.source_lines import CompiledLines
from pairscope.trace.tasks import Lines

PYTHON = "/usr/bin/python3"
SOURCE = f"{box.PROGRAM}/program.py"
_RECORDING = f"{box.KEPT}/recording"


def unran(error: str, remarks: Sequence[Remark] = ()) -> bytes:
    """An Unran as JSON."""
    return msgspec.json.encode(Unran(str(error), list(remarks)))


def result(program: Program | None, hidden: str, bounds: Bounds) -> bytes:
    """What is told of a program: its recording, or an Unran as JSON. Without a program: whether a box can be had."""
    failed: Sentence | None = None
    remarks: list[Remark] = []
    try:
        box.furnish(hidden)
        confine.recorder()
        os.environ.clear()
        os.environ.update(compiling.ENVIRONMENT)
        _rehearse()
        if program is None:
            return unran("")
        if program.language == "c":
            remarks, failed = compiling.compiled(program.source, confine.compiler, bounds.compiling)
        if failed is None:
            return _recorded(program, remarks, bounds)
    except box.Unavailable as error:
        failed = Unrun.NO_BOX.say(why=str(error))
    except OSError as error:
        failed = Unrun.NO_BOX.say(why=error.strerror or str(error))
    except Refused as error:
        failed = Unrun.NO_RECORDER.say(why=str(error))
    except Exception as error:
        failed = Unrun.FAULT.say(fault=f"{type(error).__name__}: {error}")
    return unran(failed, remarks)


def _recorded(program: Program, remarks: list[Remark], bounds: Bounds) -> bytes:
    if program.language == "python":
        with open(SOURCE, "w", newline="") as file:
            file.write(program.source)
        command = [PYTHON, "-I", "-B", SOURCE]
        lines: Lines = PythonLines(PYTHON, SOURCE)
    else:
        command, lines = [compiling.MADE], CompiledLines(compiling.MADE, seconds=2)
    ends = recorder.Bounds(
        seconds=bounds.clock, steps=bounds.steps, processes=bounds.processes, packed=bounds.packed, kept=bounds.kept,
        lines=lines,
    )  # fmt: skip
    guard = Watch(program, remarks, bounds)
    recorder.record([*command, *program.arguments], _RECORDING, ends, guard=guard)
    with open(_RECORDING, "rb") as file:
        return file.read()


def _rehearse() -> None:
    """Whether a process can be confined as a program is. Raises OSError."""
    out, into = os.pipe2(os.O_CLOEXEC)
    if not (pid := os.fork()):
        try:
            confine.program()
        except BaseException as error:
            why = error.strerror if isinstance(error, OSError) else None
            os.write(into, (why or str(error)).encode()[:1000])
        finally:
            os._exit(0)
    os.close(into)
    said = os.read(out, 1000)
    os.close(out)
    os.waitpid(pid, 0)
    if said:
        raise OSError(said.decode())


def signals() -> None:
    """Those of who made this process are not its own."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def write(into: int, data: bytes) -> None:
    """All of it. Raises BrokenPipeError if nobody reads."""
    left: Any = memoryview(data)
    while left:
        left = left[os.write(into, left) :]
