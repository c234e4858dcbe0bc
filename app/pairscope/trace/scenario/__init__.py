"""A recording of a real program as a scenario of the lab: docs/recorder.md, "As a scenario".

:func:`scenario` goes through the steps (walk). What a call was given becomes a line (calls, places), what it gave is
expected of it (results), and what numbers are called, and which ones the lab will give, is kept on the way (script,
world, numbers, ends). The language judges each line (line). Whatever a recording says, the text is one that the
language takes.
"""

from __future__ import annotations

from pairscope.trace.scenario.making import Made, NoScenario, scenario

__all__ = ["Made", "NoScenario", "scenario"]
