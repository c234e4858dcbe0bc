"""What a process waits for: eventfd, poll."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

from pairscope.lab import named as naming
from pairscope.lab.calls.call import (
    MACHINE,
    Actor,
    Call,
    Clash,
    CProgram,
    Made,
    PythonProgram,
    Return,
    Returned,
    Traced,
    Turn,
    Words,
    allow,
    naming_c,
    numbered,
    plain_line,
    plain_strace,
)
from pairscope.lab.calls.decoding import MOST, Data, Given, Memory, data, gives_descriptor, in_registers
from pairscope.lab.calls.libc import INT, POINTER, UINT, function, low, made_one, make
from pairscope.lab.calls.strace import numbers
from pairscope.lab.constants import decode
from pairscope.lab.given import integer, items, narrow
from pairscope.lab.model import Items, Value
from pairscope.lab.run import given
from pairscope.sentence import phrase

_eventfd = function("eventfd", INT, UINT, INT)
_poll = function("poll", INT, POINTER, ctypes.c_ulong, INT)
_NFDS = 1024
"""Entries that are looked at: more are beyond most programs' RLIMIT_NOFILE."""


class Eventfd(Call):
    name = "eventfd"
    takes = "value:number flags:flags"
    binds = "one"
    manual = "eventfd(2)"
    summary = "a counter to wait for"
    kernel = numbered("eventfd2", 290, 19)
    blocks = False
    line = plain_line
    strace = plain_strace
    seccomp = allow("eventfd2")
    by_registers, by_arguments = in_registers("value", "flags")
    gave = gives_descriptor

    def make(self, value: int, flags: int) -> Made:
        return made_one(make(_eventfd, value, flags))

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("sys/eventfd.h")
        return naming_c(self, program, actor, turn)

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        value, flags = turn.step.arguments
        return program.binds(turn, f"os.eventfd({program.unsigned(value)}, {program.number(flags)})")


class Poll(Call):
    name = "poll"
    takes = "fd:fd/fd events:flags/flags timeout:number"
    binds = "none"
    expects = ("revents",)
    manual = "poll(2)"
    summary = "waits until a descriptor is ready: one or a list, events for all or a list, milliseconds"
    kernel = numbered("poll", 7, 73, there="ppoll")
    blocks = True
    seccomp = allow("poll", "ppoll")

    def clash(self, arguments: Sequence[Value]) -> Clash | None:
        descriptors, events = arguments[:2]
        wanted = len(descriptors.values) if isinstance(descriptors, Items) else 1
        if not isinstance(events, Items) or len(events.values) == wanted:
            return None
        found = phrase("%(count)s events", count=len(events.values))
        return Clash(1, phrase("%(count)s: one for each descriptor, or no brackets", count=wanted), found)

    def make(self, fds: Any, events: Any, timeout: int) -> Made:
        numbers = list(fds) if isinstance(fds, (list, tuple)) else [fds]
        wanted = list(events) if isinstance(events, (list, tuple)) else [events] * len(numbers)
        entries = (ctypes.c_uint64 * max(len(numbers), 1))()
        packed = b"".join(struct.pack("=IHH", low(fd), mask & 0xFFFF, 0) for fd, mask in zip(numbers, wanted))
        ctypes.memmove(entries, packed, len(packed))
        made = make(_poll, entries, len(numbers), timeout)
        if made["value"] >= 0:
            made["revents"] = [found for _, _, found in struct.iter_unpack("=ihh", bytes(entries)[: len(packed)])]
        return made

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("poll.h")
        fds, events, timeout = turn.step.arguments
        numbers = items(fds)
        wanted = items(events) if len(items(events)) == len(numbers) else items(events) * len(numbers)
        if not numbers:
            return [program.told("tell_poll", f"poll(NULL, 0, {program.number(timeout)})", "NULL", "0")]
        entries = [
            f"{{ .fd = {program.number(fd)}, .events = {program.number(mask, 16)} }}"
            for fd, mask in zip(numbers, wanted)
        ]
        count = str(len(numbers))
        told = program.told("tell_poll", f"poll(fds, {count}, {program.number(timeout)})", "fds", count)
        return program.block([*program.listed("struct pollfd fds[] = {", entries), "", told])

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        fds, events, timeout = turn.step.arguments
        numbers = items(fds)
        wanted = items(events) if len(items(events)) == len(numbers) else items(events) * len(numbers)
        program.module("select")
        program.use("revents")
        simple = len(numbers) == 1 and (integer(numbers[0]) or 0) >= 0 and (integer(wanted[0]) or 0) >> 15 == 0
        if simple and not program.plan.handles:
            return [
                "poller = select.poll()",
                f"poller.register({program.number(numbers[0])}, {program.number(wanted[0])})",
                f"found = poller.poll({program.number(timeout)})",
                "tell(len(found), revents([found[0][1] if found else 0]))",
            ]
        program.use("pollfd")
        entries = [f"PollFd({program.number(fd)}, {program.number(mask, 16)})" for fd, mask in zip(numbers, wanted)]
        given = f"fds, ctypes.c_ulong({len(numbers)}), {program.number(timeout)}"
        return [
            *f"fds = (PollFd * {len(numbers)})({program.listed(entries)[1:-1]})".split("\n"),
            f"tell({program.raw('poll')}, {given}), revents(entry.revents for entry in fds))",
        ]

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        entries = data(memory, words[0], 8 * min(words[1], _NFDS), 8 * _NFDS) if words[1] else Data(0, b"")
        if not isinstance(entries, Data):
            return {"fd": entries, "timeout": self._milliseconds(words, memory)}
        found = list(struct.iter_unpack("=iHH", entries.head))
        return {
            "fd": [fd for fd, _, _ in found],
            "events": [events for _, events, _ in found],
            "timeout": self._milliseconds(words, memory),
        }

    @staticmethod
    def _milliseconds(words: Sequence[int], memory: Memory) -> int:
        """poll has them in a register, ppoll, which aarch64 has in its place, as a timespec; -1: without an end."""
        if MACHINE == "x86_64":
            return narrow(words[2])
        if not words[2]:
            return -1
        seconds, nano = struct.unpack("=qq", memory(words[2], 16))
        return int(seconds * 1000 + nano // 1_000_000)

    def by_arguments(self, arguments: Sequence[Any], named: Given, most: int = MOST) -> Given:
        fds, events, timeout = arguments
        numbers = list(fds) if isinstance(fds, (list, tuple)) else [fds]
        wanted = list(events) if isinstance(events, (list, tuple)) else [events] * len(numbers)
        return {
            "fd": [narrow(fd) for fd in numbers],
            "events": [mask & 0xFFFF for mask in wanted],
            "timeout": narrow(timeout),
        }

    def line(self, returned: Returned) -> str:
        found = ", ".join(naming.EVENTS.told(one) for one in given(returned.result.revents, "revents"))
        return f"{returned.result.value} revents=[{found}]"

    def strace(self, traced: Traced) -> Words:
        entries = [f"{{fd={fd}, events={decode('POLL', mask)}}}" for fd, mask in self._entries(traced)]
        return [f"[{', '.join(entries)}]", str(len(entries)), traced.word(2)]

    def strace_value(self, traced: Traced) -> str:
        found = [
            f"{{fd={fd}, revents={decode('POLL', revents)}}}"
            for (fd, _), revents in zip(self._entries(traced), given(traced.result.revents, "revents"))
            if revents
        ]
        told = f"[{', '.join(found)}]" if found else "Timeout"
        return f"{traced.result.value} ({told})"

    @staticmethod
    def _entries(traced: Traced) -> list[tuple[int, int]]:
        """Each descriptor with the events that are waited for."""
        fds, events = numbers(traced.made[0]), numbers(traced.made[1])
        return list(zip(fds, events if isinstance(traced.made[1], list) else events * len(fds)))

    def gave(self, back: Return) -> Made:
        fds = back.given["fd"]
        entries = back.memory(back.words[0], 8 * len(fds)) if fds else b""
        return {"revents": [found for _, _, found in struct.iter_unpack("=ihh", entries)]}
