"""Whether what came is what the scenario expected, and if not, in words what came instead."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from pairscope.lab import named
from pairscope.lab.constants import ERRNOS, NUMBERS, decode, signal_name
from pairscope.lab.language import quoted, shown
from pairscope.lab.model import Constants, Expectation, Items, Number, Text, Value
from pairscope.lab.reasons import Reason
from pairscope.lab.run import UNSET, Expected, Result, Step, StepVerdict
from pairscope.lab.values import credentials, meaning

HELD: StepVerdict = "held"
FAILED: StepVerdict = "failed"
NONE: StepVerdict = "none"
_SHOWN = 120


def told(expectation: Expectation) -> Expected:
    """The expectation, as the scenario writes it."""
    first = expectation.first
    text = first if first is None or isinstance(first, str) else shown(first)
    if expectation.data is not None:
        text = f"{text} {shown(expectation.data)}"
    return Expected(text, {key: shown(value) for key, value in expectation.keys})


def check(
    expectation: Expectation | None,
    step: Step,
    result: Result,
    raw: bytes | None,
    resolve: Callable[[Value], Any],
    names: Mapping[int, str],
) -> tuple[StepVerdict, str]:
    """The verdict and its reason. `step` is the run's own; `raw` is the whole data that was read; `resolve` makes a
    number of a name, and `names` has the name of each process by its pid."""
    if expectation is None:
        return NONE, ""
    wrong = [] if expectation.first is None else _first(expectation.first, step, result, raw, names)
    if expectation.data is not None and not wrong:
        wrong = _first(expectation.data, step, result, raw, names)
    for key, value in expectation.keys:
        wrong += _key(key, value, step, result, resolve, names)
    return (FAILED, "; ".join(wrong)) if wrong else (HELD, "")


def observed(result: Result, raw: bytes | None) -> str:
    """What came, in words."""
    if result.fault:
        return Reason.NO_CALL.say(fault=result.fault)
    if result.blocked:
        return Reason.BLOCKS.say()
    if _never_returned(result):
        return Reason.ENDED.say(how=result.ended)
    if result.errno:
        return result.errno
    if raw is not None:
        sentence = Reason.BYTES if result.value == len(raw) else Reason.BYTES_RETURNED
        return sentence.say(text=_clip(quoted(raw[:_SHOWN])), count=len(raw), number=result.value)
    return str(result.value)


def _never_returned(result: Result) -> bool:
    """Whether the caller did not survive its call. An exit is made to end, and has its status as its value."""
    return bool(result.ended) and result.value is None


def _first(first: Value | str, step: Step, result: Result, raw: bytes | None, names: Mapping[int, str]) -> list[str]:
    came = observed(result, raw)
    if word := meaning(step, result, names):
        came += f" ({word})"
    done = not result.blocked and not result.errno and not result.fault and not _never_returned(result)
    if first == "blocks":
        return [] if result.blocked else [Reason.NO_BLOCK.say(came=came)]
    if first == "ok":
        return [] if done else [Reason.NO_ERROR.say(came=came)]
    assert not isinstance(first, str)
    if isinstance(first, Constants) and ERRNOS.issuperset(first.names):
        # Two names may be one number: EAGAIN and EWOULDBLOCK.
        held = result.errno is not None and NUMBERS.get(result.errno, -1) in map(NUMBERS.get, first.names)
    elif isinstance(first, Text):
        held = done and raw is not None and raw == first.bytes
    elif isinstance(first, Number):
        held = not result.blocked and result.value == first.value
    else:
        held = False
    return [] if held else [Reason.OTHER.say(wanted=_clip(shown(first)), came=came)]


def _key(
    key: str,
    value: Value,
    step: Step,
    result: Result,
    resolve: Callable[[Value], Any],
    names: Mapping[int, str],
) -> list[str]:
    wanted: Any = [resolve(item) for item in value.values] if isinstance(value, Items) else resolve(value)
    came: Any = _of(result, {"flags": "msg_flags", "value": "held"}.get(key, key))
    if key == "flags" and came is not None:
        # The kernel hands the caller's own MSG_CMSG_CLOEXEC back among the flags.
        own = NUMBERS["MSG_CMSG_CLOEXEC"]
        held = came & ~own == wanted & ~own
        return [] if held else [Reason.OTHER.say(wanted=f"flags={shown(value)}", came=decode("MSG_", came & ~own))]
    if key == "fds":
        came = len(result.fds or [])
    if key == "revents" and isinstance(came, list) and not isinstance(wanted, list) and len(came) == 1:
        came = came[0]
    whole = came
    if key in ("value", "creds") and isinstance(came, list) and isinstance(wanted, list):
        came = came[: len(wanted)]
    if came == wanted:
        return []
    # struct ucred
    if isinstance(whole, list) and (
        key == "creds" or (key == "value" and len(base64.b64decode(result.option or "")) == 12)
    ):
        return [Reason.OTHER.say(wanted=f"{key}={shown(value)}", came=credentials(whole, names))]
    if (
        result.option is not UNSET
        and key == "value"
        and (kind := named.of_option(step.arguments))
        and kind.told(whole) != str(whole)
    ):
        return [Reason.OTHER.say(wanted=f"{key}={shown(value)}", came=f"{whole} ({kind.told(whole)})")]
    return [Reason.OTHER.say(wanted=f"{key}={shown(value)}", came=_named(key, came))]


def _of(result: Result, name: str) -> Any:
    """A value of a result; None: it has none of that name."""
    found = getattr(result, name, None)
    return None if found is UNSET else found


def _named(key: str, came: Any) -> str:
    if came is None:
        return Reason.NONE.say()
    if isinstance(came, list):
        return "[" + ", ".join(_named(key, one) for one in came) + "]"
    if key in ("killed", "stopped", "continued"):
        return signal_name(came)
    return decode("POLL", came) if key == "revents" else str(came)


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
