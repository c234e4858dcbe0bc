"""What an actor answers, as a run tells it: the result of a call, and its arguments. Nothing is asked and nothing
changed here."""

from __future__ import annotations

import base64
import os
import signal
import struct
from typing import Any

from pairscope.lab.calls import cmsg
from pairscope.lab.constants import errno_name
from pairscope.lab.run import Part, Result
from pairscope.lab.stage.cast import Outcome, ending

DATA_SHOWN = 64 * 1024
"""Bytes of one call's data that a run holds; the whole is judged."""
_GIVEN = ("made", "revents", "before", "port")
"""Members of an answer that stand in the result as they are."""


def outcome(call: str, answer: dict[str, Any], status: int | None) -> Outcome:
    """What came of a call. `answer`: the actor's, of :mod:`pairscope.lab.stage.system`; ``{"ended": True}`` if its
    process did not survive the call, and then `status` is how it ended, as wait(2) gives it."""
    result = _nothing()
    raw: bytes | None = answer.get("data")
    if answer.get("fault"):
        result.fault = answer["fault"]
    elif answer.get("ended"):
        result.ended = ending(status)
        if status is not None and os.WIFSIGNALED(status):
            result.killed = os.WTERMSIG(status)
        elif status is not None and call == "exit":
            result.value = result.status = os.WEXITSTATUS(status)
    else:
        result.value = answer["value"]
        result.errno = errno_name(answer["errno"]) if answer["errno"] else None
        result.duration_ns = answer.get("duration_ns", 0)
    if raw is not None:
        result.data = base64.b64encode(raw[:DATA_SHOWN]).decode()
        result.bytes = len(raw)
        if len(raw) == 8:
            result.held = int.from_bytes(raw, "little")
    for key in _GIVEN:
        if key in answer:
            setattr(result, key, answer[key])
    if "option" in answer:
        result.option = base64.b64encode(answer["option"]).decode()
        result.held = _held(answer["option"])
    if "wait" in answer:
        _tell_wait(result, answer["wait"])
    if "sent" in answer:
        result.message = cmsg.described(answer["sent"])
    if "received" in answer:
        result.message = received = cmsg.described(answer["received"])
        result.msg_flags = received.msg_flags
        result.fds = result.made = [fd for part in received.parts for fd in part.fds or ()]
        result.creds = next((part.creds for part in received.parts if part.creds), None)
    return Outcome(result, raw)


def blocked() -> Outcome:
    """Of a call that does not return."""
    result = _nothing()
    result.blocked = True
    return Outcome(result, None)


def told(value: Any) -> Any:
    """An argument as made, JSON-able: of a text its beginning."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], bytes):
        return {"data": base64.b64encode(value[0][:DATA_SHOWN]).decode(), "times": value[1]}
    return [told(item) for item in value] if isinstance(value, list) else value


def rights(parts: list[Part]) -> list[int]:
    """The descriptors that these control messages pass: SCM_RIGHTS."""
    return [fd for part in parts if part.type == "SCM_RIGHTS" for fd in part.fds or ()]


def _nothing() -> Result:
    return Result(value=None, errno=None, data=None, blocked=False, duration_ns=0, message=None)


def _tell_wait(result: Result, status: int) -> None:
    """What wait told of a child."""
    if os.WIFSIGNALED(status):
        result.killed = os.WTERMSIG(status)
    elif os.WIFEXITED(status):
        result.status = os.WEXITSTATUS(status)
    elif os.WIFSTOPPED(status):
        result.stopped = os.WSTOPSIG(status)
    elif os.WIFCONTINUED(status):
        result.continued = int(signal.SIGCONT)


def _held(option: bytes) -> int | list[int]:
    """An option's value: a number, or several."""
    if len(option) == 4:
        return int(struct.unpack("=i", option)[0])
    if len(option) == 8 or len(option) == 16:
        return list(struct.unpack(f"={len(option) // 8}q", option))
    return list(struct.unpack(f"={len(option) // 4}i", option[: len(option) & ~3]))
