"""The lab: scenarios run by real processes, and what the kernel held after each step. docs/lab.md tells how."""

TIMES_MAX = 20
"""So often one scenario is run at once, to count its outcomes."""
