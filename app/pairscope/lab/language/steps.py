"""A step: an actor, a call with its arguments or the return of one, what it makes and what is expected."""

from __future__ import annotations

import difflib

from pairscope.lab.absent import absent
from pairscope.lab.calls import CALLS, Call, usage
from pairscope.lab.constants import NUMBERS
from pairscope.lab.given import unsigned
from pairscope.lab.language.arguments import agree, take_argument
from pairscope.lab.language.expectations import take_expectation
from pairscope.lab.language.line import Line
from pairscope.lab.language.tokens import clip
from pairscope.lab.model import Position, ScenarioError, Step, Value
from pairscope.sentence import phrase

_BINDS = {"none": 0, "one": 1, "two": 2, "process": 1}


def take_step(line: Line) -> Step:
    """A whole line. Raises ScenarioError."""
    place = line.next.place
    first, after = line.next, line.following
    if first.text in CALLS and not (after.kind == "mark" and after.text == ":"):
        line.wrong(phrase("the name of a process and a colon before the call, as in: p: %(call)s", call=first.text))
    actor = line.name(phrase("the name of a process, as in: parent: fork -> child"), phrase("the name of a process"))
    if not line.at(":") and line.next.text in CALLS:
        line.wrong(
            phrase(": between the process and its call, as in: %(actor)s: %(call)s", actor=actor, call=line.next.text)
        )
    if not line.at(":"):
        line.wrong(phrase(": after the name of the process, which has lower-case letters, digits and _ alone"))
    line.take()
    step = _returned(line, actor, place) if line.at("(") else _called(line, actor, place)
    if line.next.kind != "end":
        line.wrong(
            phrase("the end of the line")
            if step.expectation
            else phrase("=> and what is expected, or the end of the line")
        )
    return step


def _returned(line: Line, actor: str, place: Position) -> Step:
    line.take()
    for filler in ("the", "pending"):
        if line.at(filler):
            line.take()
    call = _known(line)
    if not call.blocks:
        raise ScenarioError(
            line.last.place,
            phrase("%(call)s, which never blocks", call=call.name),
            phrase("a call that may: %(calls)s", calls=_blocking()),
        )
    line.want("returns")
    line.want(")")
    binds, expectation = _binds(line, call), take_expectation(line, call)
    return Step(actor, call.name, (), (), binds, expectation, place, (), True)


def _called(line: Line, actor: str, place: Position) -> Step:
    call = _known(line)
    arguments: list[Value] = []
    named: list[tuple[str, Value]] = []
    places: list[Position] = []
    named_places: list[Position] = []
    while line.next.kind not in ("end", "arrow", "expect"):
        following = line.following
        here = line.next.place
        if line.next.kind == "word" and following.kind == "mark" and following.text == "=":
            known = {argument.name: argument for argument in call.named}
            argument = known.get(line.next.text)
            if argument is None:
                line.wrong(
                    phrase("one of %(known)s for %(call)s", known=", ".join(known), call=call.name)
                    if known
                    else phrase("no named argument: %(call)s has none", call=call.name)
                )
            if any(argument.name == name for name, _ in named):
                line.wrong(phrase("each of %(known)s once", known=", ".join(known)))
            line.take()
            line.take()
            named_places.append(line.next.place)
            named.append((argument.name, take_argument(line, call.name, argument)))
        elif line.at("(") and not arguments and not named:
            line.wrong(
                phrase(
                    "the arguments without parentheses and commas, as in: %(call)s%(arguments)s",
                    call=call.name,
                    arguments=_enclosed(line),
                )
            )
        elif line.at(","):
            line.wrong(phrase("a space and no comma between arguments"))
        elif len(arguments) < len(call.arguments):
            places.append(here)
            arguments.append(take_argument(line, call.name, call.arguments[len(arguments)]))
        else:
            line.wrong(
                phrase(
                    "%(arguments)s, -> or => or the end of the line: %(usage)s",
                    arguments=_named(call),
                    usage=usage(call),
                )
            )
    for argument in call.arguments[len(arguments) :]:
        if not argument.optional:
            line.wrong(_missing(argument.name, argument.wanted, call))
    for argument in call.named:
        if not argument.optional and not any(argument.name == name for name, _ in named):
            line.wrong(_missing(f"{argument.name}=", argument.wanted, call))
    agree(line, call, arguments, places)
    duplicates = not call.binds_for or unsigned(arguments[1]) in [NUMBERS[name] for name in call.binds_for]
    binds, expectation = _binds(line, call, duplicates), take_expectation(line, call)
    return Step(actor, call.name, tuple(arguments), tuple(named), binds, expectation, place, (*places, *named_places))


def _enclosed(line: Line) -> str:
    """What stands in the parentheses that begin here, as a scenario would write it."""
    words: list[str] = []
    for token in line.rest:
        if token.kind in ("end", "arrow", "expect") or token.text == ")":
            break
        if token.text not in (",", "("):
            words.append(token.text)
    return clip(
        "".join(word if word in "|*=" or before in "|*=" else f" {word}" for before, word in zip([" ", *words], words))
    )


def _known(line: Line) -> Call:
    token = line.next
    call = CALLS.get(token.text) if token.kind == "word" else None
    if call is None:
        following = line.following
        if token.kind in ("word", "mixed", "constant") and following.text in ("=", ","):
            line.wrong(
                phrase('the call first, and then -> and the names of what it makes, as in: open "f" O_RDWR -> fd')
            )
        if token.kind in ("word", "mixed") and (missing := absent(token.text)):
            found, instead = missing
            raise ScenarioError(
                token.place,
                found,
                phrase("%(call)s, which is here", call=instead)
                if instead
                else phrase("one of those that are here: %(calls)s", calls=", ".join(CALLS)),
            )
        near = difflib.get_close_matches(token.text.lower(), CALLS, 1) if token.kind != "mark" else []
        line.wrong(
            phrase("a system call, such as %(call)s", call=near[0])
            if near
            else phrase("a system call: one of %(calls)s", calls=", ".join(CALLS))
        )
    line.take()
    return call


def _binds(line: Line, call: Call, makes: bool = True) -> tuple[str, ...]:
    if not line.at("->"):
        if call.binds == "process":
            line.wrong(phrase("-> and a name for what %(call)s makes", call=call.name))
        return ()
    arrow = line.take()
    if call.binds == "none" or not makes:
        none = phrase("no name: %(call)s makes nothing that could have one", call=call.name)
        if call.binds_for:
            none = phrase(
                "no name: %(call)s, but for %(commands)s, makes nothing that could have one",
                call=call.name,
                commands=phrase(
                    "%(others)s and %(last)s", others=", ".join(call.binds_for[:-1]), last=call.binds_for[-1]
                ),
            )
        raise ScenarioError(arrow.place, "->", none)
    names: list[str] = []
    while line.next.kind in ("word", "mixed", "constant"):
        if line.next.text in names:
            line.wrong(phrase("another name"))
        line.bound.append((line.next.text, line.next.place))
        names.append(line.name())
    if names and line.at(","):
        line.wrong(phrase("a space and no comma between names, as in: -> sv0 sv1"))
    wanted = _BINDS.get(call.binds)
    if not names or (wanted is not None and len(names) != wanted):
        line.wrong({None: phrase("a name for each descriptor"), 1: phrase("one name"), 2: phrase("two names")}[wanted])
    return tuple(names)


def _blocking() -> str:
    return ", ".join(call.name for call in CALLS.values() if call.blocks)


def _missing(argument: str, wanted: str, call: Call) -> str:
    return phrase("%(argument)s, %(wanted)s: %(usage)s", argument=argument, wanted=wanted, usage=usage(call))


def _named(call: Call) -> str:
    return ", ".join(f"{argument.name}=" for argument in call.named) or phrase("no further argument")
