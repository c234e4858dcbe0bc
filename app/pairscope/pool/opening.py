"""The first words of a supervisor: in the log, and in the journal."""

from __future__ import annotations

import logging
import os

from pairscope.journal.records import Born, Ready
from pairscope.pool.floor import Floor

log = logging.getLogger("pairscope.supervisor")


def begin(floor: Floor) -> None:
    """Says who holds the journal and what of it was damaged, and that this supervisor is there."""
    journal, tap, serial = floor.journal, floor.tap, floor.serials["supervisor"]
    torn = f"; {journal.cut} bytes of a torn tail are passed over" if journal.cut else ""
    log.info(
        "supervisor %d (pid %d, epoch %d) holds the journal at position %d%s",
        serial,
        os.getpid(),
        journal.epoch,
        journal.position,
        torn,
    )
    for stretch in journal.damage:
        log.error(
            "the journal was damaged: %d bytes at byte %d of the segment that begins at position %d; they "
            "are kept as %s",
            stretch.size,
            stretch.offset,
            stretch.first,
            stretch.name,
        )
    tap.records.append(Born("supervisor", serial, os.getpid(), os.geteuid(), floor.born))
    tap.records.append(Ready("supervisor", serial, floor.born, "", {}))
