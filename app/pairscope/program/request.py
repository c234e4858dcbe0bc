"""What is asked for: a program as JSON, read with its bounds; and what is answered where nothing ran. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from pairscope.program.sentences import Unrun
from pairscope.trace.recording import SOURCE_MOST, Remark

MOST = 8 * SOURCE_MOST
"""Bytes of a request. JSON may escape a character by six."""
INPUT_MOST = 65_536
"""Bytes of standard input: what a pipe holds, so that nobody need feed it."""


class Program(Struct, frozen=True, forbid_unknown_fields=True):
    language: Literal["c", "python"]
    source: Annotated[str, Meta(max_length=SOURCE_MOST)]
    arguments: Annotated[list[Annotated[str, Meta(max_length=1024)]], Meta(max_length=64)] = []
    input: Annotated[str, Meta(max_length=INPUT_MOST)] = ""


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    program: Program


class Wrong(Exception):
    """This is no such program. Its argument is a sentence."""


class Unran(Struct, frozen=True):
    """The result where nothing ran."""

    error: str
    remarks: list[Remark] = []


_decode = msgspec.json.Decoder(Request).decode
unran = msgspec.json.Decoder(Unran).decode
"""What is told where nothing ran."""


def decoded(text: bytes) -> Program:
    """Raises Wrong."""
    try:
        if len(text) > MOST:
            raise ValueError(f"it has more than {MOST} bytes")
        program = _decode(text).program
        bytes_of_input = len(program.input.encode())
        said = [program.source.encode(), *(argument.encode() for argument in program.arguments)]
    except (ValueError, RecursionError) as error:  # msgspec's own, and those of texts that are none
        raise Wrong(Unrun.NO_PROGRAM.say(fault=str(error)[:200])) from None
    if any(b"\0" in part for part in said):
        raise Wrong(Unrun.NUL.say())
    if bytes_of_input > INPUT_MOST:
        raise Wrong(Unrun.MUCH_INPUT.say(bytes=bytes_of_input, most=INPUT_MOST))
    return program


def encoded(language: str, source: str, arguments: list[str], input: str) -> bytes:
    """A request as it is handed over."""
    body = {"language": language, "source": source, "arguments": arguments, "input": input}
    return msgspec.json.encode({"program": body})
