"""A guest by systemd-nspawn: a copy of the base tree that boots its own systemd in namespaces of its own, and is
removed afterwards."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from script.guests import base, network, place
from script.guests.network import Link
from script.guests.place import PLACE, GuestError, Transcript, run, say, tail

PREFIX = "ps-"
"""Begins the name of each guest. An interface's name holds 15 bytes: ve-, this, and six digits."""

BOOT = 120.0
"""Seconds until a guest has booted; 2 to 4 were seen."""

DOWN = 90.0
"""Seconds that it may take to shut down; 1 to 2 on an idle machine, more than 30 at a load of 15."""


@dataclass
class Machine:
    """A booted guest."""

    name: str
    tree: Path
    link: Link
    leader: int
    """Pid of its init, on this host."""
    log: Transcript
    """What each command printed."""

    @property
    def address(self) -> str:
        return self.link.there

    def command(self, script: str, user: str = "root") -> list[str]:
        """The words that run the shell script in the guest, in a login of that user: nothing of this process's
        environment comes along."""
        enter = [
            "nsenter",
            f"--target={self.leader}",
            "--all",
            "env",
            "-i",
            "TERM=dumb",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        return [*enter, "runuser", "--login", "--shell=/bin/bash", user, "--command", script]

    def attempt(
        self, script: str, user: str = "root", timeout: float = place.LIMIT
    ) -> subprocess.CompletedProcess[str]:
        """Runs it and gives how it ended."""
        began = time.monotonic()
        done = run(*self.command(script, user), check=False, timeout=timeout)
        self.log.add(f"{user}$ {script}", done.stdout, f"{done.returncode}, {time.monotonic() - began:.1f} s")
        return done

    def run(self, script: str, user: str = "root", timeout: float = place.LIMIT) -> str:
        """What it printed, both streams in one. GuestError unless it exits with 0."""
        done = self.attempt(script, user, timeout)
        if done.returncode:
            raise GuestError(f"{user}@{self.name}: {script}\nended with {done.returncode}")
        return done.stdout

    def put(self, source: Path, target: str, user: str = "root") -> None:
        """Copies a file or a folder of this host into the guest, as that user's. Through its namespaces, so that no
        link in it leads outside."""
        into = shlex.quote(target)
        with subprocess.Popen(["tar", "-C", str(source), "-c", "."], stdout=subprocess.PIPE) as packed:
            words = self.command(f"mkdir -p {into} && tar -C {into} --no-same-owner -x", user)
            unpacked = subprocess.run(
                words, stdin=packed.stdout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
        if packed.returncode or unpacked.returncode:
            raise GuestError(f"{source} could not be copied to {target}:\n{tail(unpacked.stdout)}")


@contextlib.contextmanager
def machine(log: Transcript) -> Iterator[Machine]:
    """A freshly booted guest. Afterwards it is gone, with its processes, its network and its tree. `log` gets what it
    said."""
    place.ready()
    place.sweep(PREFIX, _clear)
    name = PREFIX + secrets.token_hex(3)
    with place.taken(name) as tree, contextlib.ExitStack() as stack:
        base.copy(tree)
        (tree / "etc/hostname").write_text("pairscope\n")
        with place.lock("network"):
            link = network.choose(f"ve-{name}")
            network.configure(link, tree)
            stack.callback(network.close, link.name)
            leader = stack.enter_context(_booted(name, tree, log.file))
            network.open_(link)
        guest = Machine(name, tree, link, leader, log)
        # Its network must be up before a command asks for a package.
        guest.run(
            "/usr/lib/systemd/systemd-networkd-wait-online --interface=host0 --timeout=30 && systemctl "
            "is-system-running --wait || true"
        )
        say(f"The guest {name} runs at {guest.address}")
        yield guest


def _clear(tree: Path) -> None:
    """Ends what runs in the tree of a run that was killed, and its network. An init outlives its nspawn; all in its
    namespace dies with it."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            roots = [
                line.split()[3] for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/"
            ]
            # a root is told from the top of its file system
            if not any(root.endswith(f"/{tree.name}") for root in roots):
                continue
            pidfd = os.pidfd_open(int(process.name))
            try:
                _kill(pidfd)
            finally:
                os.close(pidfd)
    network.close(f"ve-{tree.name}")
    tree.with_name(f".#{tree.name}.lck").unlink(missing_ok=True)


@contextlib.contextmanager
def _booted(name: str, tree: Path, log: Path) -> Iterator[int]:
    """Boots the tree; gives the pid of its init. At the end it shuts down, and is killed if it does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, open(log, "a") as said:
        # An abstract address: nothing of it can stay.
        told.bind(f"\0pairscope-{name}-{secrets.token_hex(4)}")
        words = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={tree}",
            f"--machine={name}",
            "--boot",
            "--register=no",
            "--keep-unit",
        ]
        words += [
            "--network-veth",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--notify-ready=yes",
            "--console=read-only",
        ]
        # What a virtual machine allows, and nspawn by itself does not: the sandbox and the proofs need them.
        words += [
            "--system-call-filter=kcmp pidfd_getfd landlock_create_ruleset landlock_add_rule landlock_restrict_self"
        ]
        environment = {**os.environ, "NOTIFY_SOCKET": "@" + told.getsockname()[1:].decode()}
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the tests, which then end it in order
            preexec_fn=place.die_with_the_parent,  # noqa: PLW1509 this program has one thread
        )
        init = -1
        try:
            leader = _wait_for_boot(process, told, log)
            init = os.pidfd_open(leader)
            yield leader
        finally:
            process.terminate()  # nspawn asks its init to power off
            try:
                process.wait(DOWN)
            except subprocess.TimeoutExpired:
                say(f"The guest {name} does not shut down; killing it")
                process.kill()
                process.wait()
            if init >= 0:
                _kill(init)
                os.close(init)
            tree.with_name(f".#{name}.lck").unlink(missing_ok=True)  # an nspawn that was killed leaves its lock


def _kill(init: int) -> None:
    """Ends an init by its pidfd, unless it has ended. It outlives its nspawn, and all in its namespace ends before
    it."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(init, signal.SIGKILL)
    select.select([init], [], [], 30)


def _wait_for_boot(process: subprocess.Popen[bytes], told: socket.socket, log: Path) -> int:
    """Pid of the init, once that says it is up."""
    leader, deadline = 0, time.monotonic() + BOOT
    pidfd = os.pidfd_open(process.pid)
    both: list[socket.socket | int] = [told, pidfd]
    try:
        while True:
            readable, _, _ = select.select(both, [], [], max(0.0, deadline - time.monotonic()))
            if told in readable:
                for line in told.recv(65536).decode().splitlines():
                    if line.startswith("X_NSPAWN_LEADER_PID="):
                        leader = int(line.partition("=")[2])
                    if line == "READY=1" and leader:
                        return leader
            elif pidfd in readable:
                raise GuestError(f"The guest ended while it booted:\n{tail(log.read_text(errors='replace'))}")
            else:
                raise GuestError(f"The guest did not boot within {BOOT:g} s:\n{tail(log.read_text(errors='replace'))}")
    finally:
        os.close(pidfd)


def forget(name: str) -> bool:
    """Whether nothing of that guest is left on this host: no tree, no interface, no table of rules, no process."""
    links = run("ip", "-brief", "link").stdout
    tables = run("nft", "list", "tables").stdout
    commands = run("ps", "-eo", "args").stdout
    return (
        not (PLACE / name).exists() and name not in links and name not in tables and f"--machine={name}" not in commands
    )
