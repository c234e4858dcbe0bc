"""A bus, a service and its client: a memfd goes there over the bus, and a pipe comes back. Each goes through the bus:
four passages. The protocol is spoken here: dbus.freedesktop.org/doc/dbus-specification.html"""

import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time

PATH, INTERFACE, MEMBER, REPLY, TO, FDS, SIGNATURE = 1, 2, 3, 5, 6, 9, 8
BUS, HERE = "org.freedesktop.DBus", "x.y.Z"


def padded(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


class Bus:
    def __init__(self, path: pathlib.Path) -> None:
        for _ in range(3000):
            self.socket = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                self.socket.connect(str(path))
                break
            self.socket.close()
            time.sleep(0.02)
        self.left, self.serial = b"", 0
        self.fds: list[int] = []
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.line().startswith(b"OK")
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        assert self.line() == b"AGREE_UNIX_FD"
        self.socket.sendall(b"BEGIN\r\n")
        self.call(BUS, "Hello", b"", "")

    def line(self) -> bytes:
        while b"\r\n" not in self.left:
            self.left += self.socket.recv(4096)
        line, _, self.left = self.left.partition(b"\r\n")
        return line

    def send(self, kind: int, fields: dict[int, tuple[str, object]], body: bytes, fds: list[int]) -> int:
        self.serial += 1
        head = b""
        for code, (signature, value) in fields.items():
            head = padded(head, 8) + bytes([code, 1]) + signature.encode() + b"\0"
            if signature == "g":
                head += bytes([len(str(value))]) + str(value).encode() + b"\0"
            else:
                head = padded(head, 4) + (struct.pack("<I", value) if signature == "u" else text(str(value)))
        start = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), self.serial, len(head))
        socket.send_fds(self.socket, [padded(start + head, 8) + body], fds)
        return self.serial

    def take(self) -> tuple[int, dict[int, object], bytes, list[int]]:
        def more(count: int) -> None:
            while len(self.left) < count:
                data, fds, *_ = socket.recv_fds(self.socket, 4096, 8)
                assert data, "the bus has gone"
                self.left, self.fds = self.left + data, self.fds + fds

        more(16)
        _, kind, _, _, length, serial, size = struct.unpack("<cBBBIII", self.left[:16])
        start = 16 + size + -size % 8
        more(start + length)
        fields: dict[int, object] = {0: serial}
        at = 16
        while at < 16 + size:
            at += -at % 8
            code, signature = self.left[at], self.left[at + 2 : at + 3]
            at += 4
            if signature == b"g":
                at += 2 + self.left[at]
                continue
            at += -at % 4
            (number,) = struct.unpack_from("<I", self.left, at)
            fields[code] = number if signature == b"u" else self.left[at + 4 : at + 4 + number].decode()
            at += 4 if signature == b"u" else 5 + number
        body, self.left = self.left[start : start + length], self.left[start + length :]
        fds, self.fds = self.fds, []
        return kind, fields, body, fds

    def call(self, to: str, member: str, body: bytes, signature: str, fds: tuple[int, ...] = ()) -> list[int]:
        fields: dict[int, tuple[str, object]] = {
            PATH: ("o", "/o"), INTERFACE: ("s", to), MEMBER: ("s", member), TO: ("s", to),
        }  # fmt: skip
        if signature:
            fields[SIGNATURE] = ("g", signature)
        if fds:
            fields[FDS] = ("u", len(fds))
        serial = self.send(1, fields, body, list(fds))
        while True:
            kind, back, body, came = self.take()
            if kind in (2, 3) and back.get(REPLY) == serial:
                assert kind == 2, body
                return came


def serve(path: pathlib.Path, ready: int) -> None:
    bus = Bus(path)
    bus.call(BUS, "RequestName", text(HERE).ljust(len(HERE) + 5 + -(len(HERE) + 5) % 4, b"\0") + bytes(4), "su")
    os.write(ready, b".")
    while True:
        kind, fields, _, fds = bus.take()
        if kind == 1:
            out, into = os.pipe()
            os.write(into, os.pread(fds[0], 100, 0)[::-1])
            answer: dict[int, tuple[str, object]] = {
                REPLY: ("u", fields[0]), TO: ("s", fields[7]), SIGNATURE: ("g", "h"), FDS: ("u", 1),
            }  # fmt: skip
            bus.send(2, answer, struct.pack("<I", 0), [out])
            for fd in (out, into, fds[0]):
                os.close(fd)
            bus.socket.recv(4096)  # what the bus says besides, or its end
            return


at = pathlib.Path(sys.argv[1])
(at / "conf").write_text(
    '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" '
    '"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd"><busconfig>'
    f'<listen>unix:path={at}/bus</listen><auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" '
    'eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>'
)
daemon = subprocess.Popen(
    ["dbus-daemon", f"--config-file={at}/conf", "--nofork", "--nopidfile"], stderr=subprocess.DEVNULL
)
waits, ready = os.pipe()
service = os.fork()
if not service:
    serve(at / "bus", ready)
    os._exit(0)
os.read(waits, 1)
client = Bus(at / "bus")
letter = os.memfd_create("letter")
os.write(letter, b"a letter over the bus")
fds = client.call(HERE, "Turn", struct.pack("<I", 0), "h", (letter,))
print(os.read(fds[0], 100).decode(), flush=True)
client.socket.close()
daemon.terminate()
print("ended", daemon.wait(), os.waitstatus_to_exitcode(os.waitpid(service, 0)[1]), flush=True)
