"""Starts tests/programs/confined.py, and gives it things to aim at."""

from __future__ import annotations

import array
import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
OUTPUT_MAX = 1 << 20
AS_ROOT = os.geteuid() == 0
USER = "nobody" if AS_ROOT else ""
UID = pwd.getpwnam(USER).pw_uid if USER else os.getuid()


class Confined:
    """One child of the program, over its socketpair."""

    def __init__(
        self,
        how: str = "closed",
        *,
        stderr: int = subprocess.DEVNULL,
        env: dict[str, str] | None = None,
        path: Sequence[str] = (),
        **told: Any,
    ) -> None:
        self.end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.settimeout(60)
        arguments = {
            "how": how, "end": theirs.fileno(), "user": USER, "output_max": OUTPUT_MAX, "parent": 0, "most": None,
            "jobs": False, "abi": None, "calls": [], "deny": [], **told,
        }  # fmt: skip
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.pathsep.join((*path, str(ROOT / "app"), str(ROOT))),
            **(env or {}),
        }
        for mark in ("PAIRSCOPE_TEST", "TMPDIR"):
            if mark in os.environ:
                environment[mark] = os.environ[mark]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/programs/confined.py"), json.dumps(arguments)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment,
            )
        self.hello = self.answer()

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, fds: Sequence[int] = (), **order: Any) -> None:
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.end.sendmsg([json.dumps(order).encode()], control)

    def answer(self) -> Any:
        """What it says, an object of JSON; None: it has gone."""
        while True:
            try:
                data = self.end.recv(4 << 20)
                return json.loads(data) if data else None
            except ConnectionResetError:
                continue

    def ask(self, fds: Sequence[int] = (), **order: Any) -> Any:
        self.tell(fds, **order)
        return self.answer()

    def __enter__(self) -> Confined:
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Scene:
    """A directory, files, sockets and a victim, all within reach of the attacker's user."""

    def __init__(self, directory: Path, victim: int, victim_address: int = 0) -> None:
        self._open = contextlib.ExitStack()
        directory.chmod(0o777)
        for name in ("file", "removable"):
            (directory / name).write_bytes(b"contents\n" * 10)
            (directory / name).chmod(0o666)
        if AS_ROOT:
            os.chown(directory / "file", UID, -1)
        listener = self._socket(socket.AF_UNIX, socket.SOCK_STREAM, str(directory / "listener"))
        os.chmod(directory / "listener", 0o777)
        listener.listen(64)
        abstract = f"pairscope-test-{os.getpid()}-{directory.name}"
        self._socket(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract).listen(64)
        tcp = self._socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        tcp.listen(64)
        udp = self._socket(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        output = os.memfd_create("output", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        self._open.callback(os.close, output)
        source = os.open(directory / "file", os.O_RDONLY)
        self._open.callback(os.close, source)
        passed = [self._socket(family, kind, None) for family, kind in
                  ((socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM))]  # fmt: skip
        self.fds = [source, output, *(sock.fileno() for sock in passed)]
        self.facts = {
            "directory": str(directory),
            "file": str(directory / "file"),
            "removable": str(directory / "removable"),
            "unix_path": str(directory / "listener"),
            "abstract": abstract,
            "tcp_port": tcp.getsockname()[1],
            "udp_port": udp.getsockname()[1],
            "victim": victim,
            "victim_address": victim_address,
            "output_max": OUTPUT_MAX,
        }

    def _socket(self, family: int, kind: int, address: Any) -> socket.socket:
        sock = self._open.enter_context(socket.socket(family, kind))
        if address is not None:
            sock.bind(address)
        return sock

    def close(self) -> None:
        self._open.close()


@contextlib.contextmanager
def victim() -> Iterator[tuple[int, int]]:
    """A process of the attacker's user that does nothing, dumpable, and an address that it can read."""
    with Confined("bare") as process:
        with open(f"/proc/{process.pid}/maps") as maps:
            address = next(int(line.split("-")[0], 16) for line in maps if " rw-p " in line)
        yield process.pid, address
