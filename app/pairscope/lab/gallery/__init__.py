"""The gallery: one file for each scenario, `NN-name.scenario`; from 31 on they are quirk cards. Read once and kept."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from pairscope.lab.language import parse
from pairscope.lab.model import Scenario

_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What a list of the gallery shows of a scenario."""

    name: str
    """Of the file, without its number: ``parent-and-child``."""
    number: int
    title: str
    ask: str
    """A question to answer before stepping."""
    notice: str
    man: str
    quirk: str
    """What one would predict; empty: the scenario is no quirk card."""

    @property
    def card(self) -> bool:
        """Whether it is a quirk card."""
        return bool(self.quirk)


class UnknownScenario(KeyError):
    """No scenario of the gallery has that name. str() is a sentence."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no scenario of the gallery is named {self.name[:40]!r}; there are: {', '.join(names())}"


@functools.cache
def _files() -> dict[str, Path]:
    return {path.stem.partition("-")[2]: path for path in sorted(_HERE.glob("*.scenario"))}


def names() -> tuple[str, ...]:
    """Of all scenarios, in the gallery's order."""
    return tuple(_files())


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def text(name: str) -> str:
    """The scenario as it was written. Raises UnknownScenario."""
    path = _files().get(name)
    if path is None:
        raise UnknownScenario(name)
    return _read(path)


@functools.cache
def scenario(name: str) -> Scenario:
    """The scenario, read. Raises UnknownScenario."""
    return parse(text(name))


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Every scenario, in order."""
    return tuple(_entry(name, path) for name, path in _files().items())


def _entry(name: str, path: Path) -> Entry:
    said = scenario(name).said
    return Entry(
        name, int(path.stem.partition("-")[0]), said("title"), said("ask"), said("notice"), said("man"), said("quirk")
    )
