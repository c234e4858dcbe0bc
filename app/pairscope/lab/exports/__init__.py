"""What a scenario or a run is written as, to be taken away: a C program, a Python program, a transcript, JSON.
docs/lab.md says what each holds."""

from pairscope.lab.exports.c import c
from pairscope.lab.exports.lines import outcome_lines, result_lines
from pairscope.lab.exports.outcomes import Outcome, tally
from pairscope.lab.exports.python import python
from pairscope.lab.exports.record import LOAD_MAX, NoRun, json, load
from pairscope.lab.exports.transcript import transcript

__all__ = [
    "LOAD_MAX",
    "NoRun",
    "Outcome",
    "c",
    "json",
    "load",
    "outcome_lines",
    "python",
    "result_lines",
    "tally",
    "transcript",
]
