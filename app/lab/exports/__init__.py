"""What a scenario or a run is written as, to be taken away: a C program, a Python program, a transcript, JSON. docs/lab.md says what each holds."""

from app.lab.exports.c import c
from app.lab.exports.lines import outcome_lines, result_lines
from app.lab.exports.outcomes import Outcome, tally
from app.lab.exports.python import python
from app.lab.exports.record import LOAD_MAX, NoRun, json, load
from app.lab.exports.transcript import transcript

__all__ = ["LOAD_MAX", "NoRun", "Outcome", "c", "json", "load", "outcome_lines", "python", "result_lines", "tally", "transcript"]
