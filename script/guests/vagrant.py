"""script/vagrant-test: a real ``vagrant up`` in a container, from a box made of the base tree, looked at from
outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from script.guests import base, place
from script.guests.fresh import changes, expect
from script.guests.outside import Site, until
from script.guests.place import GuestError, Transcript, run, say

ROOT = Path(__file__).resolve().parents[2]
BOX = "debian/bookworm64"
NETWORK = "/usr/libexec/lxc/lxc-net"
KEY = Path("/usr/share/vagrant/keys/vagrant.pub")
SLOW = 1200.0
PREFIX = "vagrant-"
"""Begins the name of each run's directory below the place of the guests."""


def box(directory: Path) -> Path:
    """A box for LXC: the base tree with a user vagrant that Vagrant's public key may log in as."""
    tree = directory / "rootfs"
    tree.mkdir()
    base.copy(tree)
    (tree / place.HERE_IS_A_GUEST.relative_to("/")).write_text(
        "A guest of Pairscope's proofs, removed when they end.\n"
    )
    run("chroot", tree, "/usr/sbin/useradd", "--create-home", "--shell", "/bin/bash", "vagrant")
    run("chroot", tree, "/bin/sh", "-c", "echo vagrant:vagrant | chpasswd")
    ssh = tree / "home/vagrant/.ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(_key(), ssh / "authorized_keys")
    (tree / "etc/sudoers.d/vagrant").write_text("vagrant ALL=(ALL) NOPASSWD: ALL\n")
    (tree / "etc/sudoers.d/vagrant").chmod(0o440)
    run("chroot", tree, "/bin/chown", "-R", "vagrant:vagrant", "/home/vagrant")
    (tree / "etc/network/interfaces").write_text("auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n")
    (directory / "metadata.json").write_text(json.dumps({"provider": "lxc", "version": "1.0.0"}))
    (directory / "lxc-config").write_text(
        "lxc.include = /usr/share/lxc/config/common.conf\nlxc.arch = amd64\nlxc.apparmor.profile = unconfined\n"
    )
    run("tar", "--numeric-owner", "-C", directory, "-czf", directory / "rootfs.tar.gz", "./rootfs")
    place.remove(tree)
    made = directory / "pairscope.box"
    with tarfile.open(made, "w:gz", compresslevel=1) as packed:
        for name in ("metadata.json", "rootfs.tar.gz", "lxc-config"):
            packed.add(directory / name, f"./{name}")
    return made


def _key() -> Path:
    """Vagrant's well-known public key, which it replaces by one of the guest's own at the first start."""
    for found in (
        KEY,
        *Path("/usr/share").glob("rubygems-integration/**/vagrant*/keys/vagrant.pub"),
        *Path("/usr").glob("share/**/keys/vagrant.pub"),
    ):
        if found.exists():
            return found
    raise GuestError("Vagrant's public key was not found below /usr/share")


@contextlib.contextmanager
def bridge(directory: Path) -> Iterator[None]:
    """LXC's bridge with its name and address server; taken down again if it was not up before, which a file in the
    directory says."""
    up = "lxcbr0" in run("ip", "-brief", "link").stdout
    if not up:
        (directory / "bridge").touch()
        run(NETWORK, "start")
    try:
        yield
    finally:
        if not up:
            run(NETWORK, "stop", check=False)


def clear(directory: Path) -> None:
    """Takes away the containers, and the bridge, of a run that was killed: its directory has their names."""
    for name in (path.read_text() for path in directory.glob("dot/machines/*/lxc/id")):
        run("lxc-destroy", "--force", "--name", name, check=False)
    if (directory / "bridge").exists():
        run(NETWORK, "stop", check=False)


def vagrant(directory: Path, *words: str, log: Transcript, fails: bool = False, **more: str) -> str:
    """What ``vagrant ...`` prints, with the project as its directory and a home of its own. `more` is its environment;
    `fails`: it shall."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("VAGRANT", "PAIRSCOPE"))},
        "VAGRANT_HOME": str(directory / "home"),
        "VAGRANT_DOTFILE_PATH": str(directory / "dot"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "HOME": str(directory),
        **more,
    }
    done = subprocess.run(
        ["vagrant", *words],
        cwd=directory / "project",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SLOW,
        preexec_fn=place.die_with_the_parent,
    )
    log.add(f"$ vagrant {' '.join(words)}", done.stdout, str(done.returncode))
    if bool(done.returncode) != fails:
        raise GuestError(f"vagrant {' '.join(words)} ended with {done.returncode}")
    return done.stdout


def prove(directory: Path, log: Transcript) -> None:
    """The whole way, from the box to its destruction."""
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, directory / "project")
    (directory / "box").mkdir()
    made = box(directory / "box")
    vagrant(directory, "box", "add", "--name", BOX, "--provider", "lxc", str(made), log=log)
    shutil.rmtree(directory / "box")
    expect(True, "a box was made by debootstrap")
    vagrant(directory, "validate", "--ignore-provider", log=log)
    said = vagrant(directory, "validate", "--ignore-provider", log=log, fails=True, PAIRSCOPE_PORT="eighty")
    expect(
        'PAIRSCOPE_PORT is "eighty"; expected a number' in said,
        "the Vagrantfile is valid, and a port that is none is refused in words",
    )
    try:
        said = vagrant(directory, "up", "--provider=lxc", log=log)
        expect(changes(said) >= 20, "vagrant up makes the machine and provisions it")
        address = _address(directory, log)
        links = re.findall(r"http\S+/login\?token=", said)
        expect(
            f"Pairscope answers at http://{address}:8080/" in said and links == [f"http://{address}:8080/login?token="],
            "it tells the real address, and one login link with it",
        )
        link = _ssh(directory, "sudo pairscope token create somebody --once 2>/dev/null", log)
        expect(f"http://{address}:8080/login?token=" in link, "the guest knows its address: a new login link has it")
        site = Site(f"http://{address}:8080")
        until("the box is ready", lambda: site.get("/readyz")["ready"])
        expect(True, f"the dashboard is reached from outside at {site.address}")
        bad = [
            f"{row['title']}: {row['drift']}"
            for row in site.findings().values()
            if row["verdict"] in ("critical", "recommended")
        ]
        expect(not bad, f"every check is good {bad or ''}")
        token = json.loads(_ssh(directory, "sudo pairscope token create vagrant-test --json 2>/dev/null", log))["token"]
        job = site.submit(token)
        count = f"sudo mariadb -N -e 'SELECT COUNT(*) FROM pairscope.messages WHERE job = {job}'"
        expect(
            until("its rows are in MariaDB", lambda: int(_ssh(directory, count, log).split()[-1]) >= 4),
            "a job is submitted from outside, and MariaDB counts its messages",
        )
        expect(
            site.get("/api/v1/lab/runs", {"scenario": "parent-and-child"})["verdict"] == "held",
            "a scenario of the lab holds",
        )
        said = vagrant(directory, "provision", log=log)
        expect(
            changes(said) == 0 and f"Pairscope answers at http://{address}:8080/" in said and "token=" not in said,
            "vagrant provision again changes nothing",
        )
        vagrant(directory, "reload", log=log)
        site = Site(f"http://{_address(directory, log)}:8080")
        until("it is back", lambda: site.get("/readyz")["ready"], 90)
        expect(
            site.get(f"/api/v1/jobs/{job}")["state"] == "done",
            "vagrant reload: it comes back by itself, with its record",
        )
    finally:
        last = log.last
        vagrant(directory, "destroy", "--force", log=log)
        log.last = last  # what does not hold is shown by what was said then
    left = [
        name for name in run("lxc-ls", "-1", check=False).stdout.split() if "project" in name or "pairscope" in name
    ]
    expect(not left, "vagrant destroy leaves no container")


def _ssh(directory: Path, command: str, log: Transcript) -> str:
    return vagrant(directory, "ssh", "--no-tty", "-c", command, log=log)


def _address(directory: Path, log: Transcript) -> str:
    found = re.search(r"\b10\.\d+\.\d+\.\d+\b", _ssh(directory, "hostname -I", log))
    if not found:
        raise GuestError("the guest tells no address")
    return found[0]


def main() -> int:
    """Exit status: 0 all holds, 1 something does not, and which."""
    place.end_in_order()
    log = Transcript(Path(tempfile.mkdtemp(prefix="pairscope-vagrant-log")) / "log")
    began = time.monotonic()
    try:
        place.ready()
        # The bridge is one for all: two runs at once would take it down under each other.
        with place.lock("vagrant"):
            place.sweep(PREFIX, clear)
            with place.taken(PREFIX + secrets.token_hex(3)) as directory, bridge(directory):
                prove(directory, log)
        say(f"All holds, in {time.monotonic() - began:.0f} s.")
    except (GuestError, subprocess.TimeoutExpired) as error:
        say(f"\n{error}")
        say(log.last)
        say(f"What each command printed: {log.file}")
        return 1
    shutil.rmtree(log.file.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
