"""What is known only at the end of a recording, and matters before: one look at all of its steps."""

from __future__ import annotations

import dataclasses

from pairscope.lab.constants import signal_name
from pairscope.trace.file import Recording
from pairscope.trace.followed import BIRTHS
from pairscope.trace.recording import Step

_KILLS = frozenset({"kill", "tgkill", "tkill", "pidfd_send_signal"})
CONTENT_MOST = 1024
"""Bytes of a file that are made for it."""


@dataclasses.dataclass(slots=True)
class Facts:
    """Of one recording."""

    births: dict[int, int] = dataclasses.field(default_factory=dict)
    """By process: the step of its birth."""
    fatal: dict[int, int] = dataclasses.field(default_factory=dict)
    """By process: the step of the signal that ended it."""
    last_kill: dict[tuple[int, str], int] = dataclasses.field(default_factory=dict)
    """By pid and signal: the last step that sent it."""
    contents: dict[str, bytearray] = dataclasses.field(default_factory=dict)
    """By path: what was read of a file."""


def facts(recording: Recording) -> Facts:
    """Raises NoRecording where a block is damaged."""
    found, index = Facts(), recording.index
    offsets: dict[str, int] = {}
    for number, step in enumerate(recording.all(), 1):
        child = step.gave.get("process")
        if step.call in BIRTHS and isinstance(child, int) and child != step.process:
            found.births.setdefault(child, number)
        elif step.call == "signal":
            status = index.processes[step.process - 1].status
            if status is not None and -64 <= status < 0 and step.gave.get("signal") == signal_name(-status):
                found.fatal[step.process] = number
        elif step.call in _KILLS and "errno" not in step.gave:
            pid, sent = step.given.get("process"), step.given.get("signal")
            words = step.given.get("words")
            if isinstance(words, list) and len(words) >= 3:
                pid, sent = words[0], words[2] if step.call == "tgkill" else words[1]
            if isinstance(pid, int) and isinstance(sent, int) and 0 < sent <= 64:
                found.last_kill[pid, signal_name(sent)] = number
        elif step.call in ("read", "pread64"):
            _content(found, offsets, step)
    return found


def _content(found: Facts, offsets: dict[str, int], step: Step) -> None:
    """Keeps what was read of a file. Its offset begins at 0, as far as is known."""
    on, data = step.given.get("on"), step.gave.get("data")
    if not isinstance(on, str) or not on.startswith("/") or not isinstance(data, dict):
        return
    head, count = data.get("head", b""), data.get("bytes")
    if not isinstance(head, bytes) or not isinstance(count, int) or not 0 < count <= CONTENT_MOST:
        return
    at = step.given.get("offset") if step.call == "pread64" else offsets.get(on, 0)
    if not isinstance(at, int) or not 0 <= at <= CONTENT_MOST - count:
        return
    if step.call == "read":
        offsets[on] = at + count
    content = found.contents.setdefault(on, bytearray())
    content.extend(b"x" * (at + count - len(content)))
    content[at : at + len(head)] = head
