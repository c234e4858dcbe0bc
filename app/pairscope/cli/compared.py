"""Tells what was passed in two recordings: in both, and in one of them alone. docs/recorder.md, "Two recordings"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from pairscope.cli.output import console, put_json, safe, table
from pairscope.cli.recording import opened
from pairscope.cli.words import gettext as _
from pairscope.cli.words import ngettext
from pairscope.sentence import phrase

if TYPE_CHECKING:
    from pairscope.trace.recording import Index, Passage

KINDS = {
    "same": phrase("the same"),
    "changed": phrase("changed"),
    "first": phrase("only in the first"),
    "second": phrase("only in the second"),
}
DIFFERENCES = {
    "order": phrase("the order"),
    "sent": phrase("the sender's number"),
    "end": phrase("what became of it"),
    "receiver": phrase("who received it"),
    "received": phrase("the receiver's number"),
    "object": phrase("the object"),
    "proof": phrase("the proof"),
}


def show_both(path: str, other_path: str, *, as_json: bool) -> None:
    """Prints it. Raises Failure for a file that is no recording."""
    from pairscope.trace.comparing import compare, counted

    with opened(path) as found:
        one = found.index
    with opened(other_path) as found:
        other = found.index
    pairs = compare(one, other)
    if as_json:
        return put_json(
            {
                "items": [
                    {
                        "is": pair.kind,
                        "differs": list(pair.differs),
                        "first": _value(one, pair.one),
                        "second": _value(other, pair.other),
                    }
                    for pair in pairs
                ]
            }
        )
    counts = counted(pairs)
    said = [ngettext("%(num)s passage in both", "%(num)s passages in both", counts["same"] + counts["changed"])]
    if counts["changed"]:
        said.append(ngettext("%(num)s of them changed", "%(num)s of them changed", counts["changed"]))
    said.append(_("%(num)s only in the first", num=counts["first"]))
    said.append(_("%(num)s only in the second", num=counts["second"]))
    if pairs:
        listed = table("", _("from"), _("to"), _("what"), _("first"), _("second"), _("differs in"))
        for pair in pairs:
            index, passage = (one, pair.one) if pair.one is not None else (other, pair.other)
            assert passage is not None
            row = [
                _(KINDS[pair.kind]), _name(index, passage.sender), _name(index, passage.receiver), passage.object,
                _numbers(pair.one), _numbers(pair.other), ", ".join(_(DIFFERENCES[word]) for word in pair.differs),
            ]  # fmt: skip
            listed.add_row(*(Text(safe(word)) for word in row))
        console().print(listed)
    console().print(Text(", ".join(said)), soft_wrap=True)
    return None


def _name(index: Index, process: int | None) -> str:
    return index.processes[process - 1].name if process else "–"


def _numbers(passage: Passage | None) -> str:
    """Both numbers and the steps."""
    if passage is None:
        return "–"
    received = "–" if passage.received_as is None else passage.received_as
    steps = f"{passage.sent_at}" + (f", {passage.received_at}" if passage.received_at else "")
    return f"{passage.sent_as} → {received} ({steps})"


def _value(index: Index, passage: Passage | None) -> dict[str, Any] | None:
    from pairscope.trace.passages import item

    return None if passage is None else item(index, passage)
