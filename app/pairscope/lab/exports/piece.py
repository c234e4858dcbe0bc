"""The pieces that exported programs are put together of, beside the steps themselves: one file each, in ``pieces/``, in
the language of its program.

A piece begins with what it needs: a comment ``needs: say, name_of`` names other pieces; its ``#include`` or ``import``
lines go to the head of the program. In C a declaration may follow, on a line of its own: that is what the steps see of
the piece. The rest stands in the program as it is, but for its marks: ``@NAME@`` in C; ``__NAME__`` in Python, so that
a piece with marks still compiles.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_PLACE = Path(__file__).parent / "pieces"
_TOP = re.compile(
    r"(?:/\* needs: (?P<c>.+) \*/|# needs: (?P<python>.+)|#include <(?P<header>.+)>|import (?P<module>\S+))"
)
_DECLARED = re.compile(r"(static [^\n]*\);(?: +/\*[^\n]*\*/)?)\n\n")
_MARKS = {"c": "@([A-Z_]+)@", "py": "__([A-Z_]+)__"}


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    body: str
    needs: tuple[str, ...] = ()
    """Other pieces, by their names."""
    imports: tuple[str, ...] = ()
    """Headers of C, or modules of Python."""
    prototype: str = ""
    """What the steps see of it, in C; empty: nothing."""


def read(language: str, names: Iterable[str]) -> dict[str, Piece]:
    """These pieces of a language, ``c`` or ``py``, in the order of their names. Raises OSError if one is not there."""
    return {name: _parsed((_PLACE / f"{name}.{language}").read_text(encoding="utf-8")) for name in names}


def _parsed(text: str) -> Piece:
    lines = text.split("\n")
    needs: list[str] = []
    imports: list[str] = []
    while found := _TOP.fullmatch(lines[0]):
        names = found["c"] or found["python"]
        needs += names.split(", ") if names else []
        imports += [found["header"] or found["module"]] if not names else []
        lines.pop(0)
    body = "\n".join(lines).lstrip("\n")
    declared = _DECLARED.match(body)
    return Piece(
        body[declared.end() :] if declared else body, tuple(needs), tuple(imports), declared[1] if declared else ""
    )


def fill(language: str, text: str, marks: Mapping[str, str]) -> str:
    """The text with its marks filled in. A mark that is alone on its line stands for whole lines, or for none. What is
    filled in is not looked at again: a scenario may have a file that is called ``@CLEAN@``."""
    mark = _MARKS[language]
    return re.sub(rf"(?m)^[ \t]*{mark}\n|{mark}", lambda found: _filling(found, marks), text)


def _filling(found: re.Match[str], marks: Mapping[str, str]) -> str:
    if found[2]:
        return marks[found[2]]
    lines = marks[found[1]]
    return lines and lines.removesuffix("\n") + "\n"
