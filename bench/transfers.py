"""Transfers: descriptors crossing from one process to another, through pairscope.ipc and through sendmsg and recvmsg
alone."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.contestant import Contestant
from bench.figures import Findings, Row, compare
from bench.machine import one_core
from pairscope.ipc.channel import Channel, pair
from pairscope.ipc.passing import PACKET_MAX
from pairscope.ipc.payloads import Submit

TARGET = 0.6
PAYLOAD = Submit("digest", "photograph.jpg", 0, {}, b"", 2)


def run(directory: Path, quick: bool, say: Callable[[str], None]) -> Findings:
    """Measures both ways in turn; state under `directory`, which is empty."""
    findings = Findings()
    rounds, count = (2, 1_000) if quick else (75, 5_000)
    for where, pinned in (("", False), (", one core", True)):
        with one_core(pinned), Contestant("transfers", directory / ("one" if pinned else "both")) as program:
            rates: dict[str, list[float]] = {"ipc": [], "raw": []}
            for way in rates:
                program.ask("rate", way=way, count=count // 4)
            for number in range(1, rounds + 1):
                for way, found in rates.items():
                    found.append(program.ask("rate", way=way, count=count))
                if number % 15 == 0 or number == rounds:
                    say(
                        f"round {number} of {rounds}{where}: ipc {rates['ipc'][-1]:,.0f}/s, raw "
                        f"{rates['raw'][-1]:,.0f}/s"
                    )
        row = Row(
            "transfers",
            f"one descriptor a message{where}",
            "transfers/s",
            "higher",
            "raw sendmsg and recvmsg",
            target=None if pinned else TARGET,
        )
        findings.rows.append(compare(row, rates["ipc"], rates["raw"]))
    return findings


class Transfers:
    """The program: sends from this process, receives in a child. Both ways send the same bytes on the same kind of
    pair."""

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / "input", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        ours, theirs = pair()
        with contextlib.closing(Channel(ours)) as channel, theirs:
            out = channel.prepare("submit", PAYLOAD, fds=[self._fd], seq=1)
            channel.stamp(out)
            self._packet = out.data

    def __enter__(self) -> Transfers:
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._fd)

    def rate(self, way: str, count: int) -> float:
        """Descriptors per second, from the first sent to the last received."""
        ours, theirs = pair()
        send, receive = {"ipc": (self._send, self._receive), "raw": (self._send_raw, self._receive_raw)}[way]
        child = os.fork()
        if child == 0:
            ours.close()
            try:
                theirs.send(b"ready")
                receive(theirs, count)
                theirs.send(b"done")
            finally:
                os._exit(0)
        theirs.close()
        with ours:
            ours.recv(16)
            start = time.perf_counter()
            send(ours, count)
            if ours.recv(16) != b"done":
                raise RuntimeError("the receiving process died")
            took = time.perf_counter() - start
        os.waitpid(child, 0)
        return count / took

    def _send(self, sock: socket.socket, count: int) -> None:
        channel = Channel(sock)
        fds = [self._fd]
        for number in range(1, count + 1):
            channel.post("submit", PAYLOAD, fds=fds, seq=number)

    @staticmethod
    def _receive(sock: socket.socket, count: int) -> None:
        channel = Channel(sock, hears="client")
        for _ in range(count):
            channel.receive().close()

    def _send_raw(self, sock: socket.socket, count: int) -> None:
        data, fd, flags = self._packet, self._fd, int(socket.MSG_NOSIGNAL)
        for _ in range(count):
            sock.sendmsg((data,), [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))], flags)

    @staticmethod
    def _receive_raw(sock: socket.socket, count: int) -> None:
        buffer, room, flags = bytearray(PACKET_MAX), socket.CMSG_SPACE(4), int(socket.MSG_CMSG_CLOEXEC)
        for _ in range(count):
            _, control, _, _ = sock.recvmsg_into((buffer,), room, flags)
            for _, _, body in control:
                numbers = array.array("i")
                numbers.frombytes(body)
                for fd in numbers:
                    os.close(fd)
