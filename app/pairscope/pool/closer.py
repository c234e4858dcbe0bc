"""``python -m pairscope.pool.closer PARENT``: closes what it is handed, and waits if need be.

The last close of a socket may wait for its peer (SO_LINGER, also of a socket that waits in another one's queue), that
of a device for its line, that of a large file for its disk. The supervisor waits for nothing: it hands such descriptors
over by descriptor 3. This process holds no lock and nothing else; whoever kills it ends its waiting.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys

from pairscope.ipc.channel import CHANNEL_FD
from pairscope.ipc.parent import ParentGone, die_with
from pairscope.ipc.passing import PassingError, receive

NO_LINGER = struct.pack("ii", 0, 0)


def main() -> int:
    """Until the other end is closed."""
    try:
        die_with(int(sys.argv[1]))
    except ParentGone:
        return 1
    held: list[int] = []
    with socket.socket(fileno=CHANNEL_FD) as channel:
        while True:
            try:
                packet = receive(channel)
            except PassingError:
                continue
            if packet is None:
                return 0
            held += packet[1]
            if not packet[1]:
                # by now the supervisor has closed its own: whoever closes last waits, and that is this process
                for fd in held:
                    end(fd)
                held.clear()


def end(fd: int) -> None:
    """Closes a descriptor. A socket's unsent data are not waited for."""
    with contextlib.suppress(OSError):
        held = socket.socket(fileno=fd)
        with contextlib.suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        held.detach()
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
