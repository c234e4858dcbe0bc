"""Sets of fonts for the browser: what holds of a page must not hang on what a machine has installed.

Chromium asks fontconfig (fonts-conf(5)) for fonts; a configuration of the set's own shows it the files of the set and
no others.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

LIBERATION = Path("/usr/share/fonts/truetype/liberation")
DEJAVU = Path("/usr/share/fonts/truetype/dejavu")


class Fonts(NamedTuple):
    """The files of a set, and which family the generic ones stand for."""

    files: tuple[Path, ...]
    sans: str = ""
    mono: str = ""


SETS = {
    "own": Fonts(
        tuple(
            LIBERATION / f"Liberation{face}.ttf" for face in ("Sans-Regular", "Sans-Bold", "Mono-Regular", "Mono-Bold")
        ),
        "Liberation Sans",
        "Liberation Mono",
    ),
    "fallback": Fonts((DEJAVU / "DejaVuSans.ttf", DEJAVU / "DejaVuSans-Bold.ttf")),
}
"""``own``: those that script/packages installs; the style sheet names one of them. ``fallback``: no family that the
style sheet names and no rule for a generic one, so Chromium takes what is left, also for letters of one width. A
machine without any font shows no letter at all."""


def configuration(name: str, directory: Path) -> Path:
    """Writes the configuration of a set into `directory`; FONTCONFIG_FILE shall name it. Raises FileNotFoundError where
    a font is missing."""
    fonts = SETS[name]
    place = directory / "fonts"
    place.mkdir()
    for file in fonts.files:
        if not file.exists():
            raise FileNotFoundError(f"{file} is missing; script/packages browser installs it")
        (place / file.name).symlink_to(file)
    rules = "".join(
        f"<alias binding='strong'><family>{generic}</family><prefer><family>{family}</family></prefer></alias>"
        for generic, family in (
            ("sans-serif", fonts.sans),
            ("system-ui", fonts.sans),
            ("monospace", fonts.mono),
            ("ui-monospace", fonts.mono),
        )
        if family
    )
    written = directory / "fonts.conf"
    written.write_text(
        "<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'>"
        f"<fontconfig><dir>{place}</dir><cachedir>{directory / 'font-cache'}</cachedir>{rules}</fontconfig>"
    )
    return written
