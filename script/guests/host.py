"""How this host reaches Debian's packages and PyPI, so that a guest may do the same. Nothing of it is written down in
the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from script.guests.place import run

CERTIFICATES = "usr/local/share/ca-certificates"
"""Where Debian keeps the authorities that an administrator added."""


def sources(suite: str) -> list[tuple[str, str]]:
    """The package archives of this host that belong to the release: (address, distribution), such as its security
    updates. May be empty."""
    try:
        listed = run(
            "apt-get", "indextargets", "--format", "$(CREATED_BY) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)"
        ).stdout
    except Exception:
        return []
    found = []
    for line in listed.splitlines():
        words = line.split()
        if (
            len(words) == 5
            and words[0] == "Packages"
            and words[4] == "main"
            and re.fullmatch(rf"{suite}(-security|-updates)?", words[1])
        ) and (words[2], words[3]) not in found:
            found.append((words[2], words[3]))
    return found


def mirror(suite: str) -> list[str]:
    """The argument of debootstrap that names this host's archive; none where it has none, and debootstrap takes its
    default."""
    return [address for address, distribution in sources(suite) if distribution == suite][:1]


def settle(tree: Path, suite: str) -> None:
    """Lets the tree reach what this host reaches: package archives, proxies, certificates, pip's index, name
    servers."""
    archives = sources(suite)
    if archives:
        lines = [f"deb {address} {distribution} main" for address, distribution in archives]
        (tree / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    proxies = [
        line
        for line in run("apt-config", "dump", "Acquire", check=False).stdout.splitlines()
        if re.match(r"Acquire::https?::Proxy ", line)
    ]
    (tree / "etc/apt/apt.conf.d/90host").write_text(
        "\n".join([*proxies, 'Acquire::Retries "3";', 'Acquire::Languages "none";']) + "\n"
    )
    own = sorted(Path("/", CERTIFICATES).glob("**/*.crt"))
    for certificate in own:
        (tree / CERTIFICATES).mkdir(parents=True, exist_ok=True)
        shutil.copy(certificate, tree / CERTIFICATES / certificate.name)
    if own:
        run("chroot", tree, "/usr/sbin/update-ca-certificates")
    (tree / "etc/pip.conf").write_text(_pip(bool(own)))
    environment = [
        f"{name}={value}" for name, value in os.environ.items() if re.fullmatch(r"(?i)(https?|no)_proxy", name)
    ]
    with open(tree / "etc/environment", "a") as file:
        file.writelines(line + "\n" for line in environment)
    resolv = tree / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.write_text(_name_servers())


def _pip(own_certificates: bool) -> str:
    """pip's settings of this host that mean something elsewhere: what lies in its files does not."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    found = {}
    for line in done.stdout.splitlines():
        if match := re.fullmatch(
            r"(?:global|user|site|:env:)\.(index-url|extra-index-url|trusted-host|proxy|default-timeout|timeout)='(.*)'",
            line,
        ):
            words = [word for word in match[2].split() if "file:" not in word]
            if words:
                found[match[1].removeprefix("default-")] = " ".join(words)
    if own_certificates:
        found["cert"] = "/etc/ssl/certs/ca-certificates.crt"
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in found.items())


def _name_servers() -> str:
    """This host's, unless they listen on its own loopback: then those behind them, as systemd-resolved knows them."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        if Path(path).exists():
            text = Path(path).read_text()
            if not re.search(r"^nameserver\s+(127\.|::1)", text, re.MULTILINE):
                return text
    return text
