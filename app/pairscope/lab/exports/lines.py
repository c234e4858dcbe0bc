"""What a run observed, one line for each step: what the exported programs print when they are run.

What differs from run to run is written in one way everywhere: a process's number as its name (another process's as ``a
process``), the user's and the group's number as ``uid`` and ``gid`` (-1 stays), and of data the first SHOWN bytes.
"""

from __future__ import annotations

import base64
import struct
from typing import Any

from pairscope.lab import named
from pairscope.lab.constants import NUMBERS, signal_name

SHOWN = 64
"""Bytes of data in one line; ``...`` after the quotes says that there were more."""
VERDICTS = {"held": "as expected", "failed": "not as expected"}
"""How a run came out, in words; the other verdicts are words already."""
_ELSEWHERE = "a process"


def result_lines(run: dict[str, Any]) -> list[str]:
    """One line for each step that was taken: ``6 child read = 17 "SOCKET PAIR TEST."``. docs/lab.md lists the forms."""
    names = process_names(run)
    found = []
    for number, step in enumerate(run["steps"], 1):
        found.append(f"{number} {step['actor']} {step['call']}{_came(step, names)}")
        if step["result"] is None:
            break
    return found


def outcome_lines(run: dict[str, Any]) -> list[str]:
    """The same, and what each step released: ``6 m write = 5``, ``6 m write: p read returned 5 "hello"``; the verdict
    last. Equal where two runs came to the same."""
    names = process_names(run)
    found = []
    for number, (line, step) in enumerate(zip(result_lines(run), run["steps"]), 1):
        found.append(line)
        for actor, result in sorted(step["completed"].items()):
            if result["of"] + 1 != number and not (step["returned"] and actor == step["actor"]):
                began = run["steps"][result["of"]]
                came = _came(began | {"returned": True, "result": result}, names)
                found.append(f"{number} {step['actor']} {step['call']}: {actor} {began['call']}{came}")
    verdict = VERDICTS.get(run["verdict"], run["verdict"])
    return [*found, f"{verdict}: {run['reason']}" if run["reason"] else verdict]


def process_names(run: dict[str, Any]) -> dict[int, str]:
    """The name of every process that the run saw, by its number."""
    return {
        process["pid"]: process["name"]
        for step in run["steps"]
        for process in (step["after"] or {"processes": []})["processes"]
    }


def _came(step: dict[str, Any], names: dict[int, str]) -> str:
    result = step["result"]
    if result is None:
        return ": not possible"
    if result.get("fault"):
        return ": not made"
    if result["blocked"]:
        return " blocks"
    if result.get("ended") or step["call"] == "exit":
        return f": killed by {signal_name(result['killed'])}" if result.get("killed") else ": ended"
    return f" {'returned' if step['returned'] else '='} {_body(step, result, names)}"


def _body(step: dict[str, Any], result: dict[str, Any], names: dict[int, str]) -> str:
    if result["errno"]:
        return f"-1 {result['errno']}"
    call, value = step["call"], str(result["value"])
    if call in ("socketpair", "pipe", "pipe2"):
        return f"{value} {result['made']}"
    if call == "fork":
        return names.get(result["value"], _ELSEWHERE)
    if call == "signal":
        return str(result["before"])
    if call in ("wait", "waitpid"):
        return _waited(result, names)
    if kind := named.of_return(call, step["arguments"]):
        return kind.told(result["value"])
    words = [value]
    if result["data"] is not None:
        words.append(shown(base64.b64decode(result["data"]), result["bytes"]))
    if call == "recvmsg":
        words += _received(result, names)
    if "revents" in result:
        words.append(f"revents=[{', '.join(named.EVENTS.told(found) for found in result['revents'])}]")
    if "option" in result:
        words.append(f"value={_option(step, result, names)}")
    return " ".join(words)


def _waited(result: dict[str, Any], names: dict[int, str]) -> str:
    words = [names.get(result["value"], _ELSEWHERE) if result["value"] else "0"]
    if "killed" in result:
        words.append(f"killed={signal_name(result['killed'])}")
    elif "status" in result:
        words.append(f"status={result['status']}")
    else:
        words += [f"{key}={signal_name(result[key])}" for key in ("stopped", "continued") if key in result]
    return " ".join(words)


def _received(result: dict[str, Any], names: dict[int, str]) -> list[str]:
    # The kernel hands the caller's own MSG_CMSG_CLOEXEC back among the flags.
    words = [f"flags={named.MESSAGE_FLAGS.told(result['msg_flags'] & 0xFFFFFFFF & ~NUMBERS['MSG_CMSG_CLOEXEC'])}"]
    if result["fds"]:
        words.append(f"fds={result['fds']}")
    words += [f"creds={_credentials(part['creds'], names)}" for part in result["message"]["parts"] if "creds" in part]
    return words


def _option(step: dict[str, Any], result: dict[str, Any], names: dict[int, str]) -> str:
    data = base64.b64decode(result["option"])
    if step["arguments"][1:3] == [NUMBERS["SOL_SOCKET"], NUMBERS["SO_PEERCRED"]] and len(data) == 12:
        return _credentials(list(struct.unpack("=iII", data)), names)
    if (kind := named.of_option(step["arguments"])) and isinstance(result["held"], int):
        return kind.told(result["held"])
    return str(result["held"])


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
