"""A recording of a program that was handed in as its source, as the engine writes one: made by hand, in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pairscope.trace.file import Writer
from pairscope.trace.recording import Counts, Delta, Process, Program, Remark, Step

SOURCE = """#include <unistd.h>
int main(void)
{
\tint unused;
    for (int i = 0; i < 2; i++)
        write(1, "<b>hello</b>\\n", 13);
    return 0;
}
"""
PROGRAM = Program(
    "c", SOURCE, ["--flag", "<i>"], "a line\n", [Remark("warning", 4, 6, "unused variable <unused>")],
    "<b>hello</b>\n<b>hello</b>\n", "",
)  # fmt: skip
OUT = "pipe:[77]"


def step(call: str, *, line: int = 0, given: Any = None, gave: Any = None, **more: Any) -> Step:
    return Step(0, 1, 101, call, given or {}, gave if gave is not None else {"value": 0}, line=line, **more)


def write(line: int, **more: Any) -> Step:
    data = {"bytes": 13, "head": b"<b>hello</b>\n"}
    return step("write", line=line, given={"fd": 1, "data": data, "on": OUT}, gave={"value": 13}, **more)


STEPS = [
    step("execve", changed=Delta({1: {0: "/memfd:in", 1: OUT, 2: "pipe:[78]"}}, {})),
    write(6),
    step("close", line=5, given={"fd": 9}, gave={"errno": "EBADF"}),
    write(6),
    step("exit", gave={"status": 0}),
]


def written(
    path: Path, program: Program | None = PROGRAM, steps: list[Step] | None = None, status: int | None = None
) -> Path:
    writer = Writer(str(path))
    for one in steps or STEPS:
        writer.add(one)
    writer.finish(
        command=["./program", "--flag"], kernel="6", machine="x86_64", started=1.0, took_us=5,
        ended="the last process has ended", kept=4096, missing=[], counts=Counts(0, 0, 0, 0, 0, 0, 0, 0), passages=[],
        processes=[Process(101, "program", 0, 0, status)], program=program,
    )  # fmt: skip
    writer.close()
    return path
