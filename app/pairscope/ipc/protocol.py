"""The vocabulary as the tables of docs/protocol.md: ``python -m pairscope.ipc.protocol docs/protocol.md`` writes them
there."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import get_type_hints

import msgspec

from pairscope.ipc.envelope import Envelope, Receipt
from pairscope.ipc.payloads import Nothing
from pairscope.ipc.vocabulary import KINDS, REFUSALS

_MODULE = re.compile(r"(typing|pairscope\.ipc\.\w+)\.")
BEGIN, END = "<!-- derived: {} -->", "<!-- end -->"


def kinds() -> str:
    """Every kind: its number, name, ends, answers and what it carries."""
    lines = [
        "| no. | kind | from | to | descriptors | answered by | recorded | meaning |",
        "|--:|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        recorded = "counted" if kind.housekeeping else "journaled"
        lines.append(
            f"| {kind.code} | `{kind.name}` | {kind.sender.replace(' ', ', ')} | "
            f"{kind.receiver.replace(' ', ', ')} | {kind.descriptors or '–'} | "
            f"{', '.join(f'`{name}`' for name in kind.answer.split()) or '–'} | {recorded} | {kind.meaning} |"
        )
    return "\n".join(lines)


def payloads() -> str:
    """The fields of every kind's payload."""
    return "\n".join(_fields(kind.payload, f"`{kind.name}`") for kind in KINDS if kind.payload is not Nothing)


def header() -> str:
    """The fields of the header and of a receipt, in the order in which they travel."""
    return "\n".join((_fields(Envelope, "header"), _fields(Receipt, "receipt")))


def refusals() -> str:
    """Every code of a refusal and its sentence."""
    return "\n".join(
        ["| code | sentence |", "|---|---|", *(f"| `{code}` | {sentence} |" for code, sentence in REFUSALS.items())]
    )


def _fields(struct: type, name: str) -> str:
    shown = []
    hints = get_type_hints(struct)  # without the bounds of Annotated
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        kind = str(hint) if getattr(hint, "__args__", None) else hint.__name__
        shown.append(f"`{field.name}` {_MODULE.sub('', kind)}")
    said = (inspect.getdoc(struct) or "").partition("\n")[0]
    return f"- **{name}**: {', '.join(shown)}. {said}"


SECTIONS = {"kinds": kinds, "header": header, "payloads": payloads, "refusals": refusals}


def fill(text: str) -> str:
    """`text` with each derived section between its marks made anew. Raises ValueError if a mark is missing."""
    for name, section in SECTIONS.items():
        begin = BEGIN.format(name)
        start = text.index(begin) + len(begin)
        text = f"{text[:start]}\n{section()}\n{text[text.index(END, start) :]}"
    return text


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(fill(path.read_text()))
