"""What the supervisor answers in words, beside why it refuses (vocabulary.REFUSALS): sentences with names for their
values. Pure.

They travel and are recorded filled, in English. Pages and the command line know them again by this list and translate
them (app/pairscope/recorded.py). So what was recorded once is not reworded: a new sentence is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Answered(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names."""

    # the particulars of a refusal
    KINDS = "Known are: %(names)s."
    QUEUE = "At most %(most)s may, with at most %(bytes)s bytes together."
    JOURNAL = "Its bound is %(bytes)s bytes; jobs that run are not affected."
    BYTES = "At most %(bytes)s bytes."
    CAME = "%(kind)s came: %(why)s."
    HANDS_ALONE = "it is for a worker or a lab station to send"
    NO_ANSWER = "nobody here has an answer to it"
    TOGETHER = "They have %(bytes)s, this one %(count)s."
    WITH_DESCRIPTOR = "At most %(most)s with a descriptor may."
    ONE_CLIENT = "Of one client at most %(most)s may."
    ONE_CLIENTS_BYTES = "Those of one client may have %(most)s bytes; they have %(bytes)s, this one %(count)s."
    SCENARIOS = "Of scenarios at most %(most)s may."
    WANT = "want is %(number)s; expected 1, 2 or 3."
    PARAMETERS = "Its parameters cannot be recorded: %(why)s."
    INPUT_OPEN = "The input is a %(object)s open for %(access)s; expected a file open for reading."
    INPUT_WRITABLE = "The input can be written to; expected a read-only file or a sealed memfd."
    INPUT_FOREIGN = (
        "The input is on a file system that may make its holder wait, such as a FUSE or a file server's; expected one "
        "of this machine's own. Copy the file there first."
    )
    INPUT_BYTES = "The input has %(bytes)s."
    NOT_ENDED = "It has not ended."
    NOT_OPENED = "It could not be opened: %(fault)s."
    ALIVE = "Alive: %(serials)s."
    NONE_ALIVE = "None is alive."
    SIGNAL = "The signal is %(value)s; expected %(names)s."
    WORKERS = "%(count)s workers are asked for; expected 1 to %(most)s."

    # of a recorder that says nothing is wrong
    NOTHING_COMMITTED = "for %(seconds)s s it has committed nothing, and %(count)s records wait"

    # what was done
    ENDED_BEFORE = "The job had ended before: %(state)s."
    BEFORE_IT_BEGAN = "The job was cancelled before it began."
    STATION_KILLS = "Lab station %(count)s kills the run."
    WORKER_KILLED = "Worker %(count)s is being killed for it."
    TOO_QUICK = "The job takes microseconds and is on its way: it will have ended before it could be cancelled."
    SIGNALLED = "%(signal)s was sent to worker %(count)s (pid %(pid)s)."
    SCALED = "The pool goes from %(count)s to %(most)s workers, until it is started again."

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values
