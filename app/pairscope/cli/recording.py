"""A recording of a real program as a command reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pairscope.cli.command import USAGE, Failure
from pairscope.cli.words import gettext as _
from pairscope.cli.words import told

if TYPE_CHECKING:
    from pairscope.trace.file import Recording


@contextmanager
def opened(path: str) -> Iterator[Recording]:
    """The recording in a file. Raises Failure for a file that is none, also where that shows later in the block."""
    from pairscope.trace.file import NoRecording, Recording

    try:
        with Recording(path) as found:
            yield found
    except NoRecording as error:
        raise Failure(_("%(path)s is no recording: %(why)s", path=path, why=told(error.args[0])), USAGE) from None
