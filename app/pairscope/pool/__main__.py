"""``python -m pairscope.pool``: the supervisor of one node."""

from __future__ import annotations

import logging
import os
import resource
import sys

from pairscope.config import SettingsError, load
from pairscope.ipc.printable import OneLine
from pairscope.ipc.vocabulary import Unhandled
from pairscope.journal.writer import JournalBroken, JournalFull, JournalHeld
from pairscope.pool.supervisor import Supervisor

RESERVE = 1024 * 1024
"""Bytes with which to say that there is no memory left."""


def main() -> int:
    """Exit status: 0 stopped when asked, 1 broken or full journal, or no memory left, 2 wrong settings or an incomplete
    program, 3 another supervisor holds the journal."""
    # Apache's error.log gets these lines as they are; in a terminal one sees when they come.
    when = "" if sys.stderr.isatty() else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(f"{when}pairscope pool: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Every client, every input that waits and every output that is kept is a descriptor; workers get limits of their
    # own.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        settings = load()
        supervisor = Supervisor(settings, wait_for_lock=os.environ.get("PAIRSCOPE_WAIT") == "1")
    except (SettingsError, Unhandled) as error:
        print(f"pairscope pool: {error}", file=sys.stderr)
        return 2
    except JournalHeld as error:
        print(f"pairscope pool: {error}", file=sys.stderr)
        return 3
    except (JournalFull, JournalBroken) as error:
        print(f"pairscope pool: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"pairscope pool: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    reserve = bytearray(RESERVE)
    try:
        supervisor.run()
    except MemoryError as error:
        del reserve
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        why = str(error) or f"an allocation failed; RLIMIT_AS is {'unlimited' if limit < 0 else limit}"
        print(f"pairscope pool: no memory is left: {why}; what was acknowledged is in the journal", file=sys.stderr)
        return 1
    except JournalBroken as error:
        print(f"pairscope pool: {error}; stopping, to begin again from its verified prefix", file=sys.stderr)
        return 1
    except JournalFull as error:
        print(
            f"pairscope pool: {error}; stopped without its last records, nothing of which was acknowledged",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
