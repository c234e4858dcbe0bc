"""The passages of a recording, as values for programs and people. Pure."""

from __future__ import annotations

from typing import Any

from pairscope.trace.recording import Index, Passage


def items(index: Index) -> list[dict[str, Any]]:
    """Each descriptor that was passed: from whose number to whose, which object, at which steps, and the proof."""
    return [item(index, passage) for passage in index.passages]


def item(index: Index, passage: Passage) -> dict[str, Any]:
    """One of them."""

    def end(process: int | None, number: int | None, step: int | None) -> dict[str, Any]:
        one = index.processes[process - 1] if process else None
        return {
            "process": one.name if one else None, "pid": one.pid if one else None, "number": number, "step": step,
        }  # fmt: skip

    return {
        "object": passage.object,
        "from": end(passage.sender, passage.sent_as, passage.sent_at),
        "to": end(passage.receiver, passage.received_as, passage.received_at),
        "end": passage.end,
        "proof": passage.proof,
        "why": passage.why,
    }
