"""Why a worker could not do a job: sentences with names for their values. Pure.

They are recorded filled, in English, and translated where they are shown (app/pairscope/recorded.py). What was recorded
once is not reworded: a new sentence is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Failure(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names; `why` and `known`
    may be such a sentence again."""

    # of any kind of job
    PARAMETER = "%(name)s is %(value)s; expected a whole number from %(first)s to %(most)s"
    UNKNOWN_PARAMETER = "%(name)s has no parameter %(value)s; %(known)s"
    TAKES = "it takes %(names)s"
    TAKES_NONE = "it takes none"
    NO_INPUT = "%(name)s works on a descriptor, and none came"
    NO_OUTPUT = "%(name)s writes an output, and no memfd came to write it to"
    NO_OBJECT = "it is no object"
    MEMORY = "it needed more memory than a worker may have"
    FAULT = "the job failed by a fault of its own: %(fault)s"
    NOT_SENT = "its answer could not travel: %(why)s"

    # of what it reads and writes
    NO_FILE = "the input is not a regular file or a memfd: it cannot be read at a position"
    OUTPUT = "the output exceeds its bound of %(bytes)s bytes"
    NO_MEMORY = "the machine has no memory left for the output"
    NO_WRITING = "the output cannot be written: %(fault)s"

    # of a picture
    EMPTY = "the input is empty; expected an image: PNG, JPEG, GIF, WebP or BMP"
    NO_IMAGE = "the input is not an image of a kind that is read here; expected an image: PNG, JPEG, GIF, WebP or BMP"
    PIXELS = "the image declares %(count)s pixels; at most %(most)s are decoded"
    IMAGE_MEMORY = "the image needs more memory to be decoded than a worker may use"
    DAMAGED = "the image is damaged or cut off: %(came)s; expected a complete one"
    TEXT_CHUNK = "a text chunk unpacks to more than it may"
    UPRIGHT = "upright, by EXIF orientation %(count)s"

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values
