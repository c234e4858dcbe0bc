"""``python -m pairscope.lab.tables docs/lab.md``: writes the table of calls into the document anew."""

from __future__ import annotations

import sys
from pathlib import Path

from pairscope.lab.calls import CALLS, usage


def table() -> str:
    """The calls as a table of a page."""
    lines = ["| written | what it does | binds | may block | manual |", "|---|---|---|---|---|"]
    for call in CALLS.values():
        less = f", with {' or '.join(call.binds_for)}" if call.binds_for else ""
        binds = {
            "none": "",
            "one": "a descriptor",
            "two": "two descriptors",
            "received": "the descriptors that came",
        }.get(call.binds, "a process") + less
        lines.append(f"| `{usage(call)}` | {call.summary} | {binds} | {'yes' if call.blocks else ''} | {call.manual} |")
    return "\n".join(lines) + "\n"


def fill(text: str, name: str = "calls", made: str = "") -> str:
    """`text` with what stands between the marks ``<!-- name -->`` made anew: this table, or `made`. Raises ValueError
    if a mark is missing."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    start = text.index(begin) + len(begin)
    return text[:start] + (made or table()) + text[text.index(end, start) :]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text()))
