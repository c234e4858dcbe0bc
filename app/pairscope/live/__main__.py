"""python -m pairscope.live: started by Apache as a managed process, as web's user."""

from __future__ import annotations

import contextlib
import gc
import logging
import resource
import sys

from pairscope import config
from pairscope.ipc import slices
from pairscope.ipc.printable import OneLine
from pairscope.live.hub import Hub
from pairscope.web.application import create_app


def main() -> int:
    """Serves until SIGTERM; returns the exit status."""
    when = "" if sys.stderr.isatty() else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(f"{when}pairscope live: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        settings = config.load()
    except config.SettingsError as error:
        logging.error("%s", error)
        return 1
    if settings.live_run is None:
        logging.error("%s: live_run is missing; expected the directory of live's sockets", settings.source)
        return 1
    with contextlib.suppress(ValueError, OSError):  # then with as many descriptors as it has
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    slices.lengthen()  # before the asker is started
    hub = Hub(settings, create_app(settings))
    gc.collect()
    gc.freeze()
    hub.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
