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
from pairscope.sentence import phrase
from pairscope.stack import python, scoreboard, system
from pairscope.stack.check import Scene, check, copied, standing
from pairscope.stack.step import Finding, Verdict, bad, good, unused


@check("python", "python-packages", "python3 --version")
def _python(scene: Scene) -> Iterator[Finding]:
    yield good(
        "Python",
        phrase("3.11 or newer"),
        platform.python_version(),
        (sys.version.replace("\n", " "), phrase("compiled with %(compiler)s", compiler=platform.python_compiler())),
    )
    if built := scoreboard.module():
        yield good(phrase("Module in Apache"), phrase("for this Python"), built)
    where = Path(sys.prefix)
    if scene.box is None or where == Path("/opt/pairscope/venv"):
        yield good(phrase("Environment"), phrase("its own"), str(where))
    else:
        yield bad(
            phrase("Environment"),
            "/opt/pairscope/venv",
            str(where),
            phrase("This program runs in %(where)s, and the guide installs it in /opt/pairscope/venv.", where=where),
            Verdict.RECOMMENDED,
        )


@check("python", "python-bytecode", f"ls {python.BYTECODE}")
def _bytecode(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    what, expected = phrase("Bytecode"), phrase("beside the code")
    if any(name.endswith(".pyc") for name in system.names(Path(python.BYTECODE))):
        yield good(what, expected, expected)
    else:
        yield bad(
            what,
            expected,
            phrase("missing"),
            phrase("Each process compiles all of the code at its start: deploy/provision.sh compiles it once."),
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
            found = phrase("missing")
        if found != wanted:
            differing.append((name, wanted, found))
    for name, wanted, found in differing:
        yield bad(
            name,
            wanted,
            found,
            phrase(
                "requirements.txt says %(name)s %(wanted)s, and it is %(found)s: script/environment installs it.",
                name=name,
                wanted=wanted,
                found=found,
            ),
            Verdict.RECOMMENDED,
        )
    if not differing:
        yield good(
            phrase("Libraries"),
            phrase("as in requirements.txt"),
            phrase("%(count)s, each in its version", count=len(pinned)),
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
            phrase("the pool runs %(version)s", version=said.version),
            phrase("The pool runs another version than web: systemctl reload apache2"),
            Verdict.RECOMMENDED,
        )


@check("python", "python-choices", "cat /etc/pairscope/box.toml")
def _choices(scene: Scene) -> Iterator[Finding]:
    try:
        chosen = box.choices()
    except box.BoxError as error:
        if box.CHOICES.exists():
            yield bad(
                phrase("Choices of this box"),
                phrase("whole"),
                phrase("not to be read"),
                phrase("%(why)s.", why=error.args[0] if error.args else error),
            )
        return
    yield good(
        phrase("Choices of this box"), phrase("whole"), ", ".join(f"{name} {value}" for name, value in chosen.items())
    )


@check("python", "python-settings", "ls -l /etc/pairscope; hostname -I")
def _settings(scene: Scene) -> Iterator[Finding]:
    if scene.box is None:
        return
    for reader, group in (("web", box.WEB), ("pool", box.POOL), ("lab", box.LAB), ("migrate", box.MIGRATE)):
        yield standing(
            phrase("Settings of %(reader)s", reader=reader), Path(f"/etc/pairscope/{reader}.toml"), "root", group, 0o640
        )
    strange = [address for address in system.addresses() if address not in scene.settings.trusted_hosts]
    if strange:
        drift = phrase(
            "This machine has the address %(strange)s, which the site does not answer to: deploy/provision.sh adds it.",
            strange=strange[0],
        )
        yield bad(
            phrase("Names of the site"),
            phrase("every address of this machine"),
            phrase("without %(strange)s", strange=", ".join(strange)),
            drift,
            Verdict.RECOMMENDED,
        )
    else:
        yield good(
            phrase("Names of the site"),
            phrase("every address of this machine"),
            ", ".join(scene.settings.trusted_hosts),
        )


@check("python", "python-compiler", "gcc --version")
def _programs(scene: Scene) -> Iterator[Finding]:
    """As the stations of the lab have found it out: web sees neither their namespaces nor what a station may run."""
    told = [one.detail for one in scene.said.stations if "programs" in one.detail] if scene.said else []
    if not told:
        return  # told of the supervisor, or of the stations
    programs, compiler = min((str(one["programs"]), str(one.get("compiler", ""))) for one in told)
    what = phrase("Programs that come as their source")
    if programs:
        yield unused(what, phrase("%(why)s.", why=programs))
        return
    yield good(what, phrase("in a box of their own"), phrase("in a box of their own"))
    what = phrase("Programs in C")
    if not compiler:
        yield good(what, phrase("offered"), phrase("offered"))
    elif scene.box is not None and scene.box.get("compiler"):
        yield bad(
            what,
            phrase("offered"),
            phrase("not offered"),
            phrase(
                "box.toml chooses a compiler, and a station of the lab says: %(why)s. deploy/provision.sh installs it, "
                "and starts the pool again.",
                why=compiler,
            ),
            Verdict.RECOMMENDED,
        )
    elif scene.box is not None:
        yield unused(
            what,
            phrase(
                "%(why)s. With compiler = true in /etc/pairscope/box.toml deploy/provision.sh installs it.",
                why=compiler,
            ),
        )
    else:
        yield unused(what, phrase("%(why)s.", why=compiler))


@check("python", "python-command", "pairscope --version")
def _command(scene: Scene) -> Iterator[Finding]:
    if scene.box is not None:
        yield copied(phrase("The command pairscope"), "pairscope.sh", Path("/usr/local/bin/pairscope"))
