"""python -m pairscope.recorder: started by the supervisor, with one end of a pair as descriptor 3."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys

from pairscope import config
from pairscope.ipc import slices
from pairscope.ipc.channel import CHANNEL_FD, Channel
from pairscope.ipc.parent import ParentGone, die_with
from pairscope.ipc.printable import OneLine
from pairscope.ipc.vocabulary import Role, Unhandled, complete
from pairscope.recorder.drain import HEARD, Drain
from pairscope.recorder.follower import Follower, let_go
from pairscope.recorder.writer import Fenced, Writer
from pairscope.store.engine import engine

NICE = 10
"""The pool comes first: what waits for us waits in the journal."""
LET_GO = 3
"""Seconds after which MariaDB ends a transaction of ours in which nothing is said: the next recorder waits for the row
that it has locked."""


def main() -> int:
    """Drains until the supervisor says *finish* or is gone; returns the exit status."""
    when = "" if sys.stderr.isatty() else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(f"{when}pairscope recorder: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        complete(Role.RECORDER.value, HEARD)
    except Unhandled as error:
        logging.error("%s", error)
        return 2
    try:
        # one that a signal has stopped would not see the end of its channel
        die_with(int(os.environ["PAIRSCOPE_SUPERVISOR"]))
    except ParentGone as gone:
        logging.warning("%s; what is not drained stays in the journal", gone)
        return 0
    # Ctrl-C in a terminal reaches us, too; the supervisor tells us when it is time.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    slices.lengthen()
    # A batch of 5,000 records is freed without looking for cycles, and a look while it stands finds nothing: at
    # Python's own 700 the recorder took a tenth more of a processor. What is cyclic are the statements of each
    # transaction: at 100,000 they had 360 MB after five minutes of 20 small batches a second.
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    settings = config.load()
    channel = Channel(socket.socket(fileno=CHANNEL_FD))
    database = engine(settings.recorder_url, let_go=LET_GO, pool_size=1, max_overflow=0)
    writer = Writer(database, settings.node, settings.node_name, int(os.environ["PAIRSCOPE_BEGIN"]))
    # Until the database has told: what is drained is not less than this, and the pages do not take all of time for our
    # lag.
    writer.position = let_go(settings.journal)
    try:
        why = Drain(lambda after: Follower(settings.journal, after), writer, channel, settings.history_rows).run()
    except Fenced as fenced:
        logging.error("%s", fenced)
        return 1
    finally:
        writer.close()
        channel.close()
    logging.info("%s", why)
    return 0


if __name__ == "__main__":
    sys.exit(main())
