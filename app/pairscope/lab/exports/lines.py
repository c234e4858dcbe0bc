"""What a run observed, one line for each step: what the exported programs print when they are run.

What differs from run to run is written in one way everywhere: a process's number as its name (another process's as ``a
process``), the user's and the group's number as ``uid`` and ``gid`` (-1 stays), and of data the first SHOWN bytes.
"""

from __future__ import annotations

import base64
import struct

from pairscope.lab import named
from pairscope.lab.constants import NUMBERS, signal_name
from pairscope.lab.run import UNSET, Result, Run, Step, given

SHOWN = 64
"""Bytes of data in one line; ``...`` after the quotes says that there were more."""
VERDICTS = {"held": "as expected", "failed": "not as expected"}
"""How a run came out, in words; the other verdicts are words already."""
_ELSEWHERE = "a process"


def result_lines(run: Run) -> list[str]:
    """One line for each step that was taken: ``6 child read = 17 "SOCKET PAIR TEST."``. docs/lab.md lists the forms."""
    names = run.processes()
    found = []
    for number, step in enumerate(run.steps, 1):
        found.append(f"{number} {step.actor} {step.call}{_came(step, step.result, step.returned, names)}")
        if step.result is None:
            break
    return found


def outcome_lines(run: Run) -> list[str]:
    """The same, and what each step released: ``6 m write = 5``, ``6 m write: p read returned 5 "hello"``; the verdict
    last. Equal where two runs came to the same."""
    names = run.processes()
    found = []
    for number, (line, step) in enumerate(zip(result_lines(run), run.steps), 1):
        found.append(line)
        for actor, result in sorted(step.completed.items()):
            if result.of + 1 != number and not (step.returned and actor == step.actor):
                began = run.steps[result.of]
                came = _came(began, result, True, names)
                found.append(f"{number} {step.actor} {step.call}: {actor} {began.call}{came}")
    verdict = VERDICTS.get(run.verdict, run.verdict)
    return [*found, f"{verdict}: {run.reason}" if run.reason else verdict]


def _came(step: Step, result: Result | None, returned: bool, names: dict[int, str]) -> str:
    if result is None:
        return ": not possible"
    if result.fault:
        return ": not made"
    if result.blocked:
        return " blocks"
    if result.ended or step.call == "exit":
        return f": killed by {signal_name(result.killed)}" if result.killed else ": ended"
    return f" {'returned' if returned else '='} {_body(step, result, names)}"


def _body(step: Step, result: Result, names: dict[int, str]) -> str:
    if result.errno:
        return f"-1 {result.errno}"
    call, value = step.call, str(result.value)
    if call in ("socketpair", "pipe", "pipe2"):
        return f"{value} {given(result.made, 'made')}"
    if call == "fork":
        return _process(result.value, names)
    if call == "signal":
        return str(given(result.before, "before"))
    if call in ("wait", "waitpid"):
        return _waited(result, names)
    if kind := named.of_return(call, step.arguments):
        return kind.told(_number(result.value))
    words = [value]
    if result.data is not None:
        words.append(shown(base64.b64decode(result.data), given(result.bytes, "bytes")))
    if call == "recvmsg":
        words += _received(result, names)
    if result.revents is not UNSET:
        words.append(f"revents=[{', '.join(named.EVENTS.told(found) for found in result.revents)}]")
    if result.option is not UNSET:
        words.append(f"value={_option(step, result, names)}")
    return " ".join(words)


def _waited(result: Result, names: dict[int, str]) -> str:
    words = [_process(result.value, names) if result.value else "0"]
    if result.killed is not UNSET:
        words.append(f"killed={signal_name(result.killed)}")
    elif result.status is not UNSET:
        words.append(f"status={result.status}")
    else:
        for key in ("stopped", "continued"):
            if (number := getattr(result, key)) is not UNSET:
                words.append(f"{key}={signal_name(number)}")
    return " ".join(words)


def _process(pid: int | None, names: dict[int, str]) -> str:
    return names.get(_number(pid), _ELSEWHERE)


def _number(value: int | None) -> int:
    """What a call returned that has returned. Raises ValueError if this run has not got it."""
    if value is None:
        raise ValueError("there is no value")
    return value


def _received(result: Result, names: dict[int, str]) -> list[str]:
    # The kernel hands the caller's own MSG_CMSG_CLOEXEC back among the flags.
    flags = given(result.msg_flags, "msg_flags") & 0xFFFFFFFF & ~NUMBERS["MSG_CMSG_CLOEXEC"]
    words = [f"flags={named.MESSAGE_FLAGS.told(flags)}"]
    if fds := given(result.fds, "fds"):
        words.append(f"fds={fds}")
    if result.message is None:
        raise ValueError("there is no message")
    words += [f"creds={_credentials(part.creds, names)}" for part in result.message.parts if part.creds]
    return words


def _option(step: Step, result: Result, names: dict[int, str]) -> str:
    data, held = base64.b64decode(given(result.option, "option")), given(result.held, "held")
    if step.arguments[1:3] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]] and len(data) == 12:
        return _credentials(list(struct.unpack("=iII", data)), names)
    if (kind := named.of_option(step.arguments)) and isinstance(held, int):
        return kind.told(held)
    return str(held)


def _credentials(creds: list[int], names: dict[int, str]) -> str:
    pid, *ids = creds
    words = [names.get(pid, _ELSEWHERE) if pid else "0"]
    words += [word if number != 0xFFFFFFFF else "-1" for number, word in zip(ids, ("uid", "gid"))]
    return f"[{', '.join(words)}]"


def shown(data: bytes, length: int) -> str:
    """The first bytes of data of this length, in quotes; everything but printable ASCII is escaped."""
    found = []
    for byte in data[:SHOWN]:
        if byte in b'"\\':
            found.append("\\" + chr(byte))
        elif byte == 10:
            found.append("\\n")
        else:
            found.append(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}")
    return f'"{"".join(found)}"' + ("..." if length > SHOWN else "")
