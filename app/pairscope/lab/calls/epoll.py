"""What real programs wait with, read from outside: epoll_create1, epoll_ctl, epoll_wait, epoll_pwait. Scenarios have
poll."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence

from pairscope.lab.calls.call import MACHINE, Made, Observed, Return, numbered
from pairscope.lab.calls.decoding import MOST, Given, Memory, gives_descriptor, gives_nothing, in_registers
from pairscope.lab.given import narrow

_EVENT = struct.Struct("=IQ" if MACHINE == "x86_64" else "=I4xQ")
"""struct epoll_event, which is packed on x86_64 alone: events, and what the program wants to be told with them."""


class EpollCreate1(Observed):
    name = "epoll_create1"
    kernel = numbered("epoll_create1", 291, 20)
    by_registers = in_registers("flags")[0]
    gave = gives_descriptor


class EpollCtl(Observed):
    name = "epoll_ctl"
    kernel = numbered("epoll_ctl", 233, 21)
    gave = gives_nothing

    def by_registers(self, words: Sequence[int], memory: Memory, most: int = MOST) -> Given:
        given: Given = {"fd": narrow(words[0]), "operation": narrow(words[1]), "target": narrow(words[2])}
        with contextlib.suppress(OSError):  # EPOLL_CTL_DEL needs none
            given["events"], given["data"] = _EVENT.unpack(memory(words[3], _EVENT.size))
        return given


class EpollWait(Observed):
    name = "epoll_wait"
    kernel = numbered("epoll_wait", 232, 22, there="epoll_pwait")
    by_registers = in_registers("fd", "", "maxevents", "timeout")[0]

    def gave(self, back: Return) -> Made:
        """``events``: of each descriptor that is ready its events, and the data that epoll_ctl was given for it."""
        found = back.memory(back.words[1], back.value * _EVENT.size) if back.value else b""
        return {"events": [list(event) for event in _EVENT.iter_unpack(found)]}


class EpollPwait(EpollWait):
    name = "epoll_pwait"
    kernel = numbered("epoll_pwait", 281, 22)
