"""Which values an argument takes, by its kind (:data:`pairscope.lab.calls.KINDS`)."""

from __future__ import annotations

import re

from pairscope.lab.calls import CHOICES
from pairscope.lab.constants import HANDLERS, NUMBERS, POINTERS
from pairscope.lab.given import unsigned
from pairscope.lab.language.bounds import BYTES_MAX
from pairscope.lab.model import Constants, Name, Number, Text, Value

_TYPES: dict[str, tuple[type, ...]] = {
    "fd": (Name, Number),
    "number": (Number, Constants),
    "flags": (Number, Constants),
    "size": (Number,),
    "any": (Number, Constants, Text),
    "text": (Text,),
    "file": (Text,),
    "address": (Text,),
    "process": (Name,),
    "id": (Name, Number),
    "room": (Number, Constants),
    "data": (Text, Constants),
    "pointer": (Constants,),
    "handler": (Constants,),
    "signal": (Constants,),
    "list": (),
    **dict.fromkeys(CHOICES, (Number, Constants)),
}
"""What a single value of each kind may be."""
_WORDS = {
    "room": POINTERS,
    "data": POINTERS,
    "pointer": POINTERS,
    "handler": HANDLERS,
    "signal": tuple(name for name in NUMBERS if name.startswith("SIG") and name not in HANDLERS),
}
"""Kinds for which a constant must be one of these."""
_ONLY = {kind: frozenset(NUMBERS[name] for name in names) for kind, names in CHOICES.items()}
"""Kinds for which only some numbers will do, whether they are written as numbers or as constants."""
_FILE = re.compile(rb"(?!\.\.?\Z)[^/\0]{1,100}\Z", re.DOTALL)
_ADDRESS = re.compile(
    rb"(?:127\.0\.0\.1|\[::1\]):(?:[1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])\Z|\0.{1,100}\Z|(?!\.\.?\Z)[^/\0:]{1,100}\Z",
    re.DOTALL,
)
"""A colon makes a port of it, and then nothing but the loopback will do."""


def fits(value: Value, kind: str) -> bool:
    """Whether a single value is of the kind."""
    if not isinstance(value, _TYPES[kind]):
        return False
    if kind in _ONLY:
        return unsigned(value) in _ONLY[kind]
    if isinstance(value, Constants):
        if kind in _WORDS:
            return len(value.names) == 1 and value.names[0] in _WORDS[kind]
        return not {"NULL", "BADPTR", "HANDLER"}.intersection(value.names)
    if isinstance(value, Number):
        return kind not in ("size", "room") or 0 <= value.value <= BYTES_MAX
    if isinstance(value, Text) and kind in ("file", "address"):
        return value.times == 1 and bool((_FILE if kind == "file" else _ADDRESS).match(value.data))
    return True
