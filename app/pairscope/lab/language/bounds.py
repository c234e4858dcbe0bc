"""How much a scenario may hold."""

TEXT_MAX = 64 * 1024
"""Characters of a scenario."""
STEPS_MAX = 100
PROCESSES_MAX = 8
"""Processes and threads together."""
BYTES_MAX = 1 << 20
"""Bytes of one text, repeated."""
LIST_MAX = 1024
"""Values of a list that is written by repetition."""
