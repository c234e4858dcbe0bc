"""Python: version, environment, code, settings."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pairscope
from pairscope.files import REQUIREMENTS
from pairscope.lamp import box
from pairscope.stack import scoreboard, system
from pairscope.stack.check import Scene, check, copied, standing
from pairscope.stack.step import Finding, Verdict, bad, good


@check("python", "python-packages", "python3 --version")
def _python(scene: Scene) -> Iterator[Finding]:
    yield good(
        "Python",
        "3.11 or newer",
        platform.python_version(),
        (sys.version.replace("\n", " "), f"compiled with {platform.python_compiler()}"),
    )
    if built := scoreboard.module():
        yield good("Module in Apache", "for this Python", built)
    where = Path(sys.prefix)
    if scene.box is None or where == Path("/opt/pairscope/venv"):
        yield good("Environment", "its own", str(where))
    else:
        yield bad(
            "Environment",
            "/opt/pairscope/venv",
            str(where),
            f"This program runs in {where}, and the guide installs it in /opt/pairscope/venv.",
            Verdict.RECOMMENDED,
        )


@check("python", "python-environment", "pip list")
def _libraries(scene: Scene) -> Iterator[Finding]:
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;#]+)", REQUIREMENTS.read_text(), re.MULTILINE))
    differing = []
    for name, wanted in pinned.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            differing.append((name, wanted, found))
    for name, wanted, found in differing:
        yield bad(
            name,
            wanted,
            found,
            f"requirements.txt says {name} {wanted}, and it is {found}: script/environment installs it.",
            Verdict.RECOMMENDED,
        )
    if not differing:
        yield good(
            "Libraries",
            "as in requirements.txt",
            f"{len(pinned)}, each in its version",
            (f"{name} {version}" for name, version in pinned.items()),
        )


@check("python", "python-code", "pairscope --version")
def _code(scene: Scene) -> Iterator[Finding]:
    said = scene.said
    if said is None or said.version == pairscope.__version__:
        yield good("Pairscope", pairscope.__version__, pairscope.__version__)
    else:
        yield bad(
            "Pairscope",
            pairscope.__version__,
            f"the pool runs {said.version}",
            "The pool runs another version than web: systemctl reload apache2",
            Verdict.RECOMMENDED,
        )


@check("python", "python-choices", "cat /etc/pairscope/box.toml")
def _choices(scene: Scene) -> Iterator[Finding]:
    try:
        chosen = box.choices()
    except box.BoxError as error:
        if box.CHOICES.exists():
            yield bad("Choices of this box", "whole", "not to be read", f"{error}.")
        return
    yield good("Choices of this box", "whole", ", ".join(f"{name} {value}" for name, value in chosen.items()))


@check("python", "python-settings", "ls -l /etc/pairscope; hostname -I")
def _settings(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    for reader, group in (("web", box.WEB), ("pool", box.POOL), ("lab", box.LAB), ("migrate", box.MIGRATE)):
        yield standing(f"Settings of {reader}", Path(f"/etc/pairscope/{reader}.toml"), "root", group, 0o640)
    strange = [address for address in system.addresses() if address not in scene.settings.trusted_hosts]
    if strange:
        drift = (
            f"This machine has the address {strange[0]}, which the site does not answer to: deploy/provision.sh "
            "adds it."
        )
        yield bad(
            "Names of the site",
            "every address of this machine",
            f"without {', '.join(strange)}",
            drift,
            Verdict.RECOMMENDED,
        )
    else:
        yield good("Names of the site", "every address of this machine", ", ".join(scene.settings.trusted_hosts))


@check("python", "python-command", "pairscope --version")
def _command(scene: Scene) -> Iterator[Finding]:
    if scene.box is not None:
        yield copied("The command pairscope", "pairscope.sh", Path("/usr/local/bin/pairscope"))
