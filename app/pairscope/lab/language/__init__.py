"""The language of scenarios: reading and writing them. docs/lab.md has the grammar; every error is a ScenarioError at
its position.

:func:`parse` reads a text line by line (reading); of each line the tokens (tokens, line), the step (steps) with its
arguments (arguments, kinds, values, literals) and what is expected of it (expectations), and whether its names are
known there (names). :func:`format` writes it (writing).
"""

from pairscope.lab.language.bounds import BYTES_MAX, LIST_MAX, PROCESSES_MAX, STEPS_MAX, TEXT_MAX
from pairscope.lab.language.reading import ABOUT, parse
from pairscope.lab.language.writing import format, quoted, shown

__all__ = [
    "ABOUT", "BYTES_MAX", "LIST_MAX", "PROCESSES_MAX", "STEPS_MAX", "TEXT_MAX", "format", "parse", "quoted", "shown",
]  # fmt: skip
