"""A file system whose server answers what it likes: the protocol of /dev/fuse, as far as a test needs it.

Run as a program it mounts itself on its argument, with one file `f`, and says `mounted`. From then on it takes lines:
`hang` (it answers no GETATTR, READ and FLUSH any more, and says which it has got), `go` (it answers them all), and at
the end of its input it goes, which ends every wait. linux/fuse.h, fuse(4).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOOKUP, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT = 1, 3, 14, 15, 17, 18, 25, 26
SILENT = {2, 36, 42}
"""FORGET, INTERRUPT, BATCH_FORGET: nobody waits for an answer."""
HELD = {GETATTR: "getattr", READ: "read", FLUSH: "flush"}
IN, OUT = struct.Struct("IIQQIIIHH"), struct.Struct("IiQ")
DATA = b"a line\n" * 100
MNT_DETACH = 2


def _attributes(node: int) -> bytes:
    mode, size = (0o40755, 0) if node == 1 else (0o100644, len(DATA))
    return struct.pack("6Q10I", node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _answer(operation: int, node: int, body: bytes) -> bytes | int:
    if operation == INIT:
        return struct.pack("IIIIHHIIHHI7I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, *[0] * 7)
    if operation == LOOKUP:
        return struct.pack("QQQQII", 2, 1, 0, 0, 0, 0) + _attributes(2) if body == b"f\0" else -2
    if operation == GETATTR:
        return struct.pack("QII", 0, 0, 0) + _attributes(node)
    if operation == OPEN:
        return struct.pack("QII", 1, 1, 0)  # FOPEN_DIRECT_IO
    if operation == READ:
        _, offset, size = struct.unpack_from("QQI", body)
        return DATA[offset : offset + size]
    if operation == STATFS:
        return bytes(80)
    return b"" if operation in (RELEASE, FLUSH) else -38


def serve(place: str) -> None:
    """Until the end of the standard input."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"attack", os.fsencode(place), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    held: list[bytes] = []
    hangs = False
    said = False
    try:
        while True:
            ready, _, _ = select.select([device, 0], [], [])
            if 0 in ready:
                line = os.read(0, 64).strip()
                if not line:
                    return
                hangs = line == b"hang"
                os.write(1, b"so be it\n")
                while held and not hangs:
                    os.write(device, held.pop())
            if device in ready:
                packet = os.read(device, 1 << 20)
                _, operation, unique, node, *_ = IN.unpack_from(packet)
                if operation in SILENT:
                    continue
                answer = _answer(operation, node, packet[IN.size :])
                body, error = (b"", answer) if isinstance(answer, int) else (answer, 0)
                reply = OUT.pack(OUT.size + len(body), error, unique) + body
                if hangs and operation in HELD:
                    held.append(reply)
                    os.write(1, f"holds {HELD[operation]}\n".encode())
                else:
                    with contextlib.suppress(FileNotFoundError):  # it was interrupted
                        os.write(device, reply)
                if operation == INIT and not said:
                    said = True
                    os.write(1, b"mounted\n")
    finally:
        libc.umount2(os.fsencode(place), MNT_DETACH)
        os.close(device)


class Hanging:
    """A mounted file system, and its server."""

    def __init__(self, process: subprocess.Popen[str], place: Path) -> None:
        self.process = process
        self.file = place / "f"

    def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        self.wait_for("so be it")

    def wait_for(self, line: str) -> None:
        assert self.process.stdout
        for said in self.process.stdout:
            if said.strip() == line:
                return
        raise AssertionError(f"the file system's server ended before it said {line!r}")


@contextlib.contextmanager
def mounted(place: Path) -> Iterator[Hanging]:
    """A file system that answers, until it is told to hang. Skips the test where this process may not mount one."""
    if os.geteuid() or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("mounts a FUSE: needs root and /dev/fuse")
    place.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    hanging = Hanging(process, place)
    try:
        hanging.wait_for("mounted")
        yield hanging
    finally:
        assert process.stdin and process.stdout
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


if __name__ == "__main__":
    serve(sys.argv[1])
