"""Reading and writing scenarios. docs/lab.md has the grammar; every error is a ScenarioError at its place."""

from __future__ import annotations

import dataclasses
import difflib
import re
import socket
from collections.abc import Iterable
from typing import NoReturn

from pairscope.lab.absent import absent
from pairscope.lab.calls import CALLS, CHOICES, EXPECTED_OF, EXPECTED_TAKES, Argument, Call, usage
from pairscope.lab.constants import ERRNOS, HANDLERS, NUMBERS, POINTERS, number
from pairscope.lab.model import (
    Comment,
    Constants,
    Expectation,
    Items,
    Name,
    Number,
    Place,
    Scenario,
    ScenarioError,
    Step,
    Text,
    Value,
)

TEXT_MAX = 64 * 1024
"""Characters of a scenario."""
STEPS_MAX = 100
PROCESSES_MAX = 8
"""Processes and threads together."""
BYTES_MAX = 1 << 20
"""Bytes of one text, repeated."""
LIST_MAX = 1024
"""Values of a list that is written by repetition."""
ABOUT = {"title": False, "notice": True, "man": False, "ask": False, "quirk": False}
"""Words that may follow ``@``; True: on more than one line."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t]+) | (?P<comment>\#.*) | (?P<arrow>->) | (?P<expect>=>)
      | (?P<hex>x"[^"]*") | (?P<text>"(?:[^"\\]|\\.)*") | (?P<number>-?(?:0x[0-9A-Fa-f]+|[0-9]+)[KM]?(?![A-Za-z0-9_]))
      | (?P<constant>[A-Z][A-Z0-9_]*(?![A-Za-z])) | (?P<word>[a-z][A-Za-z0-9_]*)
      | (?P<mixed>[A-Za-z_][A-Za-z0-9_]*) | (?P<mark>[:=|*,\[\]()])""",
    re.VERBOSE,
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}\Z")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, '"': 34}
_OCTAL = re.compile("[0-7]{1,3}")
_FLAGS_OF = {"POLL": "revents", "MSG_": "flags", "SIG": "killed"}
"""How constants begin that are expected of a key."""
_FOREIGN = {
    "'": 'a text in double quotes, as in: "text"',
    ";": "a name, a number or a text, or nothing: a step ends with its line",
    "/": "a number, a text, a name or a constant; a comment begins with #",
    "-": "a number after the minus, or a name of letters, digits and _; an errno has no minus, as in: => EAGAIN",
    "+": "constants joined by |, as in: O_RDWR|O_CREAT",
}
"""Characters of other notations, and what stands for them here."""
_BIT = {"K": 1024, "M": 1024 * 1024, "": 1}
_BINDS = {"none": 0, "one": 1, "two": 2, "process": 1}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_TYPES: dict[str, tuple[type, ...]] = {
    "fd": (Name, Number),
    "number": (Number, Constants),
    "flags": (Number, Constants),
    "size": (Number,),
    "any": (Number, Constants, Text),
    "text": (Text,),
    "file": (Text,),
    "address": (Text,),
    "process": (Name,),
    "id": (Name, Number),
    "room": (Number, Constants),
    "data": (Text, Constants),
    "pointer": (Constants,),
    "handler": (Constants,),
    "signal": (Constants,),
    "list": (),
    **dict.fromkeys(CHOICES, (Number, Constants)),
}
"""What a single value of each kind may be."""
_WORDS = {
    "room": POINTERS,
    "data": POINTERS,
    "pointer": POINTERS,
    "handler": HANDLERS,
    "signal": tuple(name for name in NUMBERS if name.startswith("SIG") and name not in HANDLERS),
}
"""Kinds for which a constant must be one of these."""
_ONLY = {kind: frozenset(NUMBERS[name] for name in names) for kind, names in CHOICES.items()}
"""Kinds for which only some numbers will do, whether they are written as numbers or as constants."""
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)
"""Of sockets for the network. Others would have the kernel load modules."""
_REPEATED = 5
"""So many values of a list, if they are all the same, are written once."""
_FILE = re.compile(rb"(?!\.\.?\Z)[^/\0]{1,100}\Z", re.DOTALL)
_ADDRESS = re.compile(
    rb"(?:127\.0\.0\.1|\[::1\]):(?:[1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])\Z|\0.{1,100}\Z|(?!\.\.?\Z)[^/\0:]{1,100}\Z",
    re.DOTALL,
)
"""A colon makes a port of it, and then nothing but the loopback will do."""


class _Token:
    __slots__ = ("kind", "place", "text")

    def __init__(self, kind: str, text: str, place: Place) -> None:
        self.kind, self.text, self.place = kind, text, place


def parse(text: str) -> Scenario:
    """Reads a scenario. Raises ScenarioError."""
    if len(text) > TEXT_MAX:
        raise ScenarioError(Place(1, 1), f"{len(text)} characters", f"at most {TEXT_MAX}")
    about: list[tuple[str, str]] = []
    steps: list[Step] = []
    comments: list[tuple[str, int, int]] = []
    names = _Names()
    # Not splitlines(): it would also break at form feeds and other characters that are then found misplaced.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if control := _CONTROL.search(line):
            place = Place(number, control.start() + 1)
            raise ScenarioError(
                place, f"the character {control.group()!r}", r"printable text, or an escape such as \n or \x07"
            )
        stripped = line.strip(" \t")
        if stripped.startswith("@"):
            about.append(_about(stripped, Place(number, line.index("@") + 1), about))
            continue
        tokens = list(_tokens(line, number))
        comment = _comment(line, tokens[-1].place)
        if len(tokens) == 1:
            comments += [(comment, len(about), len(steps))] if comment else []
            continue
        reader = _Line(tokens)
        step = dataclasses.replace(reader.step(), comment=comment)
        if len(steps) == STEPS_MAX:
            raise ScenarioError(step.place, f"step {STEPS_MAX + 1}", f"at most {STEPS_MAX} steps")
        names.check(step, reader)
        steps.append(step)
    if not steps:
        raise ScenarioError(Place(1, 1), "no step", "at least one, such as: parent: pipe2 0 -> out in")
    return Scenario(
        tuple(about), tuple(steps),
        tuple(
            Comment(comment, step) if step or said == len(about) else Comment(comment, said, True)
            for comment, said, step in comments
        ),
    )  # fmt: skip


def _comment(line: str, place: Place) -> str:
    """The comment that begins at `place`; empty: none does."""
    comment = line[place.column - 1 :].rstrip(" \t")
    for offset, character in enumerate(comment):
        if not character.isprintable() and character != "\t":
            raise ScenarioError(
                Place(place.line, place.column + offset), f"the character {character!r}", "printable text"
            )
    return comment


def _about(line: str, place: Place, before: list[tuple[str, str]]) -> tuple[str, str]:
    word, _, said = line[1:].partition(" ")
    if word not in ABOUT:
        raise ScenarioError(place, f"@{word}", "one of " + ", ".join(f"@{known}" for known in ABOUT))
    for offset, character in enumerate(line):
        if not character.isprintable():
            raise ScenarioError(
                Place(place.line, place.column + offset), f"the character {character!r}", "printable text"
            )
    if not said.strip():
        raise ScenarioError(place, f"@{word} without a text", "a sentence after it")
    if not ABOUT[word] and any(word == other for other, _ in before):
        raise ScenarioError(place, f"a second @{word}", "at most one")
    return word, said.strip()


def _tokens(line: str, number: int) -> Iterable[_Token]:
    position = 0
    while position < len(line):
        match = _TOKEN.match(line, position)
        place = Place(number, position + 1)
        if match is None:
            found = "a quote that is not closed" if line[position] == '"' else f"the character {line[position]!r}"
            usual = "a name, a constant, a number, a text in double quotes or one of : = | * , [ ] ( ) -> =>"
            raise ScenarioError(place, found, _FOREIGN.get(line[position], usual))
        kind = match.lastgroup or ""
        if kind == "comment":
            break
        position = match.end()
        if kind != "space":
            yield _Token(kind, match.group(), place)
    yield _Token("end", "the end of the line", Place(number, position + 1))


class _Line:
    """One step's tokens, read from left to right; and which names it used and bound, each with its place."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.used: list[tuple[str, str, Place]] = []
        """``process`` or ``fd``, and the name."""
        self.bound: list[tuple[str, Place]] = []
        self._inner: list[Place] = []
        """Of each value of the list read last."""

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _is(self, text: str) -> bool:
        return self._next.kind in ("mark", "arrow", "expect", "word") and self._next.text == text

    def _want(self, text: str) -> _Token:
        return self._take() if self._is(text) else self._wrong(text)

    def _wrong(self, expected: str) -> NoReturn:
        raise ScenarioError(self._next.place, _clip(self._next.text), expected)

    def _name(self, what: str) -> str:
        token = self._next
        if token.kind not in ("word", "mixed", "constant"):
            self._wrong(what)
        if token.kind != "word" or not _NAME.match(token.text):
            lower = re.sub(r"^[^a-z]+", "", token.text.lower())[:16]
            example = f", such as {lower}" if lower else ""
            less = what.partition(", as in")[0] if token.kind != "word" else "a name"
            self._wrong(f"{less} of lower-case letters, digits and _, at most 16 characters{example}")
        return self._take().text

    def step(self) -> Step:
        place = self._next.place
        first, after = self._next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if first.text in CALLS and not (after.kind == "mark" and after.text == ":"):
            self._wrong(f"the name of a process and a colon before the call, as in: p: {first.text}")
        actor = self._name("the name of a process, as in: parent: fork -> child")
        if not self._is(":") and self._next.text in CALLS:
            self._wrong(f": between the process and its call, as in: {actor}: {self._next.text}")
        if not self._is(":"):
            self._wrong(": after the name of the process, which has lower-case letters, digits and _ alone")
        self._take()
        step = self._returned(actor, place) if self._is("(") else self._called(actor, place)
        if self._next.kind != "end":
            self._wrong(
                "the end of the line" if step.expectation else "=> and what is expected, or the end of the line"
            )
        return step

    def _returned(self, actor: str, place: Place) -> Step:
        self._take()
        for filler in ("the", "pending"):
            if self._is(filler):
                self._take()
        call = self._known()
        if not call.blocks:
            raise ScenarioError(
                self._tokens[self._at - 1].place, f"{call.name}, which never blocks", "a call that may: " + _blocking()
            )
        self._want("returns")
        self._want(")")
        binds, expectation = self._binds(call), self._expectation(call)
        return Step(actor, call.name, (), (), binds, expectation, place, (), True)

    def _called(self, actor: str, place: Place) -> Step:
        call = self._known()
        arguments: list[Value] = []
        named: list[tuple[str, Value]] = []
        places: list[Place] = []
        named_places: list[Place] = []
        while self._next.kind not in ("end", "arrow", "expect"):
            following = self._tokens[self._at + 1]
            here = self._next.place
            if self._next.kind == "word" and following.kind == "mark" and following.text == "=":
                known = {argument.name: argument for argument in call.named}
                argument = known.get(self._next.text)
                if argument is None:
                    self._wrong(
                        f"one of {', '.join(known)} for {call.name}"
                        if known
                        else f"no named argument: {call.name} has none"
                    )
                if any(argument.name == name for name, _ in named):
                    self._wrong(f"each of {', '.join(known)} once")
                self._at += 2
                named_places.append(self._next.place)
                named.append((argument.name, self._argument(call.name, argument)))
            elif self._is("(") and not arguments and not named:
                self._wrong(f"the arguments without parentheses and commas, as in: {call.name}{self._enclosed()}")
            elif self._is(","):
                self._wrong("a space and no comma between arguments")
            elif len(arguments) < len(call.arguments):
                places.append(here)
                arguments.append(self._argument(call.name, call.arguments[len(arguments)]))
            else:
                self._wrong(f"{_named(call)}, -> or => or the end of the line: {usage(call)}")
        for argument in call.arguments[len(arguments) :]:
            if not argument.optional:
                self._wrong(f"{argument.name}, {argument.wanted}: {usage(call)}")
        for argument in call.named:
            if not argument.optional and not any(argument.name == name for name, _ in named):
                self._wrong(f"{argument.name}=, {argument.wanted}: {usage(call)}")
        self._agree(call, arguments, places)
        duplicates = not call.binds_for or _integer(arguments[1]) in [NUMBERS[name] for name in call.binds_for]
        binds, expectation = self._binds(call, duplicates), self._expectation(call)
        return Step(
            actor, call.name, tuple(arguments), tuple(named), binds, expectation, place, (*places, *named_places)
        )

    def _enclosed(self) -> str:
        """What stands in the parentheses that begin here, as a scenario would write it."""
        words: list[str] = []
        for token in self._tokens[self._at + 1 :]:
            if token.kind in ("end", "arrow", "expect") or token.text == ")":
                break
            if token.text not in (",", "("):
                words.append(token.text)
        return _clip(
            "".join(
                word if word in "|*=" or before in "|*=" else f" {word}" for before, word in zip([" ", *words], words)
            )
        )

    def _known(self) -> Call:
        token = self._next
        call = CALLS.get(token.text) if token.kind == "word" else None
        if call is None:
            following = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
            if token.kind in ("word", "mixed", "constant") and following.text in ("=", ","):
                self._wrong('the call first, and then -> and the names of what it makes, as in: open "f" O_RDWR -> fd')
            if token.kind in ("word", "mixed") and (missing := absent(token.text)):
                found, instead = missing
                raise ScenarioError(
                    token.place,
                    found,
                    f"{instead}, which is here" if instead else "one of those that are here: " + ", ".join(CALLS),
                )
            near = difflib.get_close_matches(token.text.lower(), CALLS, 1) if token.kind != "mark" else []
            self._wrong(f"a system call{f', such as {near[0]}' if near else ': one of ' + ', '.join(CALLS)}")
        self._take()
        return call

    def _argument(self, whose: str, argument: Argument) -> Value:
        place, found = self._next.place, _clip(self._next.text)
        value = self.value()
        if isinstance(value, Items) and argument.of:
            for inner, inner_place in zip(value.values, self._inner, strict=True):
                self._check(
                    inner,
                    argument.of,
                    inner_place,
                    _clip(shown(inner)),
                    f"{argument.name} of {whose}: {argument.wanted}",
                )
            self._check_whole(argument, value, place, whose)
        else:
            self._check(value, argument.takes, place, found, f"{argument.name} of {whose}: {argument.wanted}")
        return value

    def _check(self, value: Value, kind: str, place: Place, found: str, expected: str) -> None:
        if not _fits(value, kind):
            raise ScenarioError(place, found, expected)
        if isinstance(value, Name):
            self.used.append(("process" if kind in ("process", "id") else "fd", value.text, place))

    @staticmethod
    def _check_whole(argument: Argument, items: Items, place: Place, whose: str) -> None:
        if argument.name == "creds" and whose == "sendmsg" and len(items.values) != 3:
            raise ScenarioError(
                place, f"{len(items.values)} values", "three: the process, the user's number and the group's"
            )
        if argument.name in ("creds", "value") and whose != "sendmsg" and not 1 <= len(items.values) <= 4:
            raise ScenarioError(place, f"{len(items.values)} values", "one to four")
        total = sum(_length(value) for value in items.values) if argument.of in ("text", "size") else 0
        if total > BYTES_MAX:
            raise ScenarioError(place, f"{total} bytes in one list", f"at most {BYTES_MAX}")

    def _agree(self, call: Call, arguments: list[Value], places: list[Place]) -> None:
        """What one argument asks of another."""
        if call.name == "poll":
            descriptors, events = arguments[:2]
            if isinstance(events, Items):
                wanted = len(descriptors.values) if isinstance(descriptors, Items) else 1
                if len(events.values) != wanted:
                    raise ScenarioError(
                        places[1], f"{len(events.values)} events", f"{wanted}: one for each descriptor, or no brackets"
                    )
        elif call.name in ("read", "write"):
            buffer, *counts = arguments[1:]
            if isinstance(buffer, Constants):
                if not counts:
                    self._wrong(f"count, how many bytes to {call.name} at {buffer.names[0]}")
                return
            held = _length(buffer)
            for count in counts:
                if _length(count) > held:
                    raise ScenarioError(places[2], shown(count), f"at most {held}, which the buffer has")
        elif call.name in ("socket", "socketpair"):
            if _integer(arguments[0]) != socket.AF_UNIX and _integer(arguments[2]) not in _PROTOCOLS:
                raise ScenarioError(
                    places[2], shown(arguments[2]), "0, 6 (TCP) or 17 (UDP), as the domain is a network"
                )

    def _binds(self, call: Call, makes: bool = True) -> tuple[str, ...]:
        if not self._is("->"):
            if call.binds == "process":
                self._wrong(f"-> and a name for what {call.name} makes")
            return ()
        arrow = self._take()
        if call.binds == "none" or not makes:
            less = f", but for {' and '.join(call.binds_for)}," if call.binds_for else ""
            raise ScenarioError(arrow.place, "->", f"no name: {call.name}{less} makes nothing that could have one")
        names: list[str] = []
        while self._next.kind in ("word", "mixed", "constant"):
            if self._next.text in names:
                self._wrong("another name")
            self.bound.append((self._next.text, self._next.place))
            names.append(self._name("a name"))
        if names and self._is(","):
            self._wrong("a space and no comma between names, as in: -> sv0 sv1")
        wanted = _BINDS.get(call.binds)
        if not names or (wanted is not None and len(names) != wanted):
            self._wrong({None: "a name for each descriptor", 1: "one name", 2: "two names"}[wanted])
        return tuple(names)

    def _expectation(self, call: Call) -> Expectation | None:
        if not self._is("=>"):
            return None
        place = self._take().place
        first: Value | str | None = None
        data: Text | None = None
        if self._next.kind == "end":
            self._wrong("what is expected: a number, an errno, a text, blocks, ok, or KEY=VALUE")
        if self._is("blocks") or self._is("ok"):
            first = self._take().text
        elif self._next.kind != "word":
            token = self._next
            self._unlike(call)
            first = self.value()
            if isinstance(first, Items) or (isinstance(first, Constants) and not ERRNOS.issuperset(first.names)):
                raise ScenarioError(
                    token.place, _clip(token.text), "a number, the name of an errno, a text, blocks, ok, or KEY=VALUE"
                )
            if isinstance(first, Number) and self._next.kind in ("text", "hex"):
                value = self.value()
                assert isinstance(value, Text)
                data = value
        keys: list[tuple[str, Value]] = []
        while self._next.kind == "word":
            known = [key for key, of in EXPECTED_OF.items() if not of or call.name in of]
            if self._next.text not in known:
                self._wrong(
                    f"one of blocks, ok, {', '.join(f'{key}=' for key in known)} for {call.name}; a text "
                    "stands in double quotes"
                )
            argument = EXPECTED_TAKES[self._next.text]
            if any(argument.name == key for key, _ in keys):
                self._wrong("each key once")
            self._take()
            self._want("=")
            keys.append((argument.name, self._argument("what is expected", argument)))
        return Expectation(first, tuple(keys), place, data)

    def _unlike(self, call: Call) -> None:
        """Refuses what other notations write for an outcome, with the form that it has here."""
        token, following = self._next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if token.kind == "number" and following.text in ERRNOS:
            raise ScenarioError(
                token.place, f"{token.text} {following.text}", f"the errno alone, as in: => {following.text}"
            )
        if token.kind == "number" and following.text == "errno":
            raise ScenarioError(token.place, f"{token.text} errno", "the errno alone, as in: => EAGAIN")
        if "EOF" in (token.text, following.text if token.kind == "number" else ""):
            self._wrong('the empty text of a read at the end of file, as in: => ""')
        if token.kind == "constant" and token.text in NUMBERS and token.text not in ERRNOS:
            for begins, key in _FLAGS_OF.items():
                of = EXPECTED_OF[key]
                if token.text.startswith(begins) and (not of or call.name in of):
                    self._wrong(f"its key before it, as in: => {key}={token.text}")

    def value(self, inside: bool = False) -> Value:
        """One value. Raises ScenarioError if none begins here."""
        token = self._next
        if token.kind == "number":
            self._take()
            return _number(token)
        if token.kind in ("text", "hex"):
            self._take()
            times = 1
            if self._is("*"):
                self._take()
                if self._next.kind != "number":
                    self._wrong("how often the text is repeated, a number")
                times = _number(self._next).value
                if not 1 <= times <= BYTES_MAX:
                    self._wrong(f"a number from 1 to {BYTES_MAX}")
                self._take()
            data = _hexadecimal(token) if token.kind == "hex" else _string(token)
            if len(data) * times > BYTES_MAX:
                raise ScenarioError(token.place, f"{len(data) * times} bytes", f"at most {BYTES_MAX}")
            return Text(data, times, token.kind == "hex")
        if token.kind in ("constant", "mixed"):
            return Constants(tuple(self._constants()))
        if token.kind == "word":
            return Name(self._name("a name"))
        if self._is("[") and not inside:
            return self._items()
        self._wrong(
            "a number, a constant, a name, a text in double quotes" + ("" if inside else " or a list in brackets")
        )
        return None

    def _items(self) -> Items:
        self._take()
        values: list[Value] = []
        self._inner = []
        while not self._is("]"):
            self._inner.append(self._next.place)
            values.append(self.value(inside=True))
            if self._is(","):
                self._take()
            elif self._next.kind == "end":
                self._wrong("] at the end of the list")
        self._take()
        if values and self._is("*"):
            self._take()
            if self._next.kind != "number":
                self._wrong("how often the list is repeated, a number")
            times = _number(self._next).value
            if not 1 <= times <= LIST_MAX // len(values):
                self._wrong(f"a number from 1 to {LIST_MAX // len(values)}")
            self._take()
            values, self._inner = values * times, self._inner * times
        return Items(tuple(values))

    def _constants(self) -> Iterable[str]:
        while True:
            token = self._next
            if token.kind != "constant" or token.text not in NUMBERS:
                near = difflib.get_close_matches(
                    token.text.upper(), [name for name in NUMBERS if name[0] == token.text[0].upper()], 1
                )
                self._wrong(
                    "a constant of the C headers"
                    + (f", such as {near[0]}" if near else "")
                    + "; names have lower-case letters"
                )
            yield self._take().text
            if not self._is("|"):
                return
            self._take()


class _Names:
    """Who there is, and which names each can use: a child inherits its parent's, threads share them."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def check(self, step: Step, line: _Line) -> None:
        """Takes one step in order. Raises ScenarioError where it uses a name that is not bound there."""
        if not self._known:
            self._known[step.actor] = set()
        mine = self._known.get(step.actor)
        if mine is None:
            raise ScenarioError(step.place, step.actor, "one of the processes so far: " + ", ".join(self._known))
        for kind, name, place in line.used:
            self._look(name, self._known if kind == "process" else mine, step.actor, kind, place)
        for name, place in line.bound:
            if CALLS[step.call].binds != "process":
                mine.add(name)
                continue
            if name in self._known:
                raise ScenarioError(place, f"a second process {name}", "another name")
            if len(self._known) == PROCESSES_MAX:
                raise ScenarioError(
                    place, f"process {PROCESSES_MAX + 1}", f"at most {PROCESSES_MAX} processes and threads"
                )
            self._known[name] = mine if step.call == "thread" else set(mine)

    @staticmethod
    def _look(name: str, known: Iterable[str], actor: str, kind: str, place: Place) -> None:
        if name in known:
            return
        if kind == "process":
            raise ScenarioError(place, name, "a process: " + ", ".join(known))
        raise ScenarioError(
            place, name, f"a descriptor of {actor}: " + (", ".join(sorted(known)) or "it has named none yet")
        )


def _fits(value: Value, kind: str) -> bool:
    """Whether a single value is of the kind."""
    if not isinstance(value, _TYPES[kind]):
        return False
    if kind in _ONLY:
        return _integer(value) in _ONLY[kind]
    if isinstance(value, Constants):
        if kind in _WORDS:
            return len(value.names) == 1 and value.names[0] in _WORDS[kind]
        return not {"NULL", "BADPTR", "HANDLER"}.intersection(value.names)
    if isinstance(value, Number):
        return kind not in ("size", "room") or 0 <= value.value <= BYTES_MAX
    if isinstance(value, Text) and kind in ("file", "address"):
        return value.times == 1 and bool((_FILE if kind == "file" else _ADDRESS).match(value.data))
    return True


def _integer(value: Value) -> int:
    """What the kernel gets: 32 bits of a number or of constants."""
    whole = value.value if isinstance(value, Number) else number(value) if isinstance(value, Constants) else 0
    return whole & 0xFFFFFFFF


def _length(value: Value) -> int:
    """Bytes of a text, or as many as a size says."""
    return len(value.data) * value.times if isinstance(value, Text) else value.value if isinstance(value, Number) else 0


def _number(token: _Token) -> Number:
    digits, unit = (token.text[:-1], token.text[-1]) if token.text[-1] in "KM" else (token.text, "")
    octal = digits.lstrip("-").startswith("0") and "x" not in digits and len(digits.lstrip("-")) > 1
    if octal and not set(digits) <= set("-01234567"):
        raise ScenarioError(
            token.place, _clip(token.text), "digits from 0 to 7: a number that begins with 0 is octal, as in C"
        )
    # Not longer than 64 bits have digits: int() itself would refuse thousands of them in its own words.
    value = int(digits, 16 if "x" in digits else 8 if octal else 10) * _BIT[unit] if len(digits) < 26 else 1 << 64
    if not -(1 << 63) <= value < 1 << 64:
        raise ScenarioError(
            token.place, _clip(token.text), "a number of 64 bits, from -0x8000000000000000 to 0xffffffffffffffff"
        )
    return Number(value, token.text)


def _hexadecimal(token: _Token) -> bytes:
    digits = token.text[2:-1].replace(" ", "")
    if len(digits) % 2 or not re.fullmatch(r"[0-9A-Fa-f]*", digits):
        raise ScenarioError(token.place, _clip(token.text), 'pairs of hexadecimal digits, as in x"00ff"')
    return bytes.fromhex(digits)


def _string(token: _Token) -> bytes:
    text = token.text[1:-1]
    found = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        place = Place(token.place.line, token.place.column + 1 + position)
        if character != "\\":
            if not character.isprintable():
                raise ScenarioError(
                    place, f"the character {character!r}", r"printable text, or an escape such as \n or \x07"
                )
            found += character.encode()
            position += 1
            continue
        escape = text[position + 1]
        if escape == "x":
            digits = text[position + 2 : position + 4]
            if not re.fullmatch(r"[0-9A-Fa-f]{2}", digits):
                raise ScenarioError(place, _clip(text[position : position + 4]), r"two hexadecimal digits, as in \x07")
            found.append(int(digits, 16))
            position += 4
        elif octal := _OCTAL.match(text, position + 1):
            if int(octal.group(), 8) > 255:
                raise ScenarioError(place, f"\\{octal.group()}", r"a byte: up to three octal digits, at most \377")
            found.append(int(octal.group(), 8))
            position = octal.end()
        elif escape in _ESCAPES:
            found.append(_ESCAPES[escape])
            position += 2
        else:
            raise ScenarioError(place, f"\\{escape}", r"one of \n \t \r \0 \a \b \f \v \\ \" \xHH \OOO (octal)")
    return bytes(found)


def _clip(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _blocking() -> str:
    return ", ".join(call.name for call in CALLS.values() if call.blocks)


def _named(call: Call) -> str:
    return ", ".join(f"{argument.name}=" for argument in call.named) or "no further argument"


# ---- writing


def format(scenario: Scenario) -> str:
    """The canonical text."""
    lines: list[str] = []
    for index, (word, text) in enumerate(scenario.about):
        lines += [comment.text for comment in scenario.comments if comment.about and comment.before == index]
        lines.append(f"@{word} {text}")
    actors = max(len(step.actor) for step in scenario.steps) + 1
    calls = [_written(step) for step in scenario.steps]
    arrows = max((len(call) for call, step in zip(calls, scenario.steps) if step.binds), default=0)
    left = [
        f"{step.actor + ':':<{actors}} " + (f"{call:<{arrows}} -> {' '.join(step.binds)}" if step.binds else call)
        for call, step in zip(calls, scenario.steps)
    ]
    # One very long text must not push every expectation out of sight.
    column = max(
        (len(text) for text, step in zip(left, scenario.steps) if step.expectation and len(text) <= 72), default=0
    )
    lines += [""] if lines else []
    for index, (text, step) in enumerate(zip(left, scenario.steps)):
        lines += [comment.text for comment in scenario.comments if not comment.about and comment.before == index]
        line = f"{text:<{column}} => {_expected(step.expectation)}" if step.expectation else text
        lines.append(f"{line}  {step.comment}" if step.comment else line)
    lines += [
        comment.text for comment in scenario.comments if not comment.about and comment.before == len(scenario.steps)
    ]
    return "\n".join(lines) + "\n"


def _written(step: Step) -> str:
    if step.returned:
        return f"({step.call} returns)"
    return " ".join([step.call, *map(shown, step.arguments), *(f"{name}={shown(value)}" for name, value in step.named)])


def _expected(expectation: Expectation) -> str:
    first = expectation.first
    words = [] if first is None else [first if isinstance(first, str) else shown(first)]
    words += [] if expectation.data is None else [shown(expectation.data)]
    return " ".join([*words, *(f"{key}={shown(value)}" for key, value in expectation.keys)])


def shown(value: Value) -> str:
    """A value as a scenario writes it."""
    if isinstance(value, Number):
        return value.shown
    if isinstance(value, Name):
        return value.text
    if isinstance(value, Constants):
        return "|".join(value.names)
    if isinstance(value, Items):
        if len(value.values) >= _REPEATED and len(set(value.values)) == 1:
            return f"[{shown(value.values[0])}] * {len(value.values)}"
        return f"[{', '.join(map(shown, value.values))}]"
    text = f'x"{value.data.hex()}"' if value.hexadecimal else quoted(value.data)
    return text if value.times == 1 else f"{text} * {value.times}"


def quoted(data: bytes) -> str:
    """Bytes as a text in double quotes, with escapes for what cannot be printed."""
    names = {number: letter for letter, number in _ESCAPES.items()}
    found = []
    characters = data.decode("utf-8", "surrogateescape")
    for character, following in zip(characters, characters[1:] + " "):
        code = ord(character)
        if not code:
            found.append("\\x00" if following in "01234567" else "\\0")  # further digits would be read as its own
        elif code in names:
            found.append("\\" + names[code])
        elif 0xDC80 <= code <= 0xDCFF:
            found.append(f"\\x{code - 0xDC00:02x}")
        elif character.isprintable():
            found.append(character)
        else:
            found.append("".join(f"\\x{byte:02x}" for byte in character.encode()))
    return f'"{"".join(found)}"'
