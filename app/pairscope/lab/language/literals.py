"""Numbers and texts as a scenario writes them."""

from __future__ import annotations

import re

from pairscope.lab.language.tokens import Token, clip
from pairscope.lab.model import Number, Position, ScenarioError
from pairscope.sentence import phrase

ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, '"': 34}
_OCTAL = re.compile("[0-7]{1,3}")
_BIT = {"K": 1024, "M": 1024 * 1024, "": 1}


def number(token: Token) -> Number:
    """The number that a token writes: decimal, hexadecimal or octal, in units of K or M. Raises ScenarioError."""
    digits, unit = (token.text[:-1], token.text[-1]) if token.text[-1] in "KM" else (token.text, "")
    octal = digits.lstrip("-").startswith("0") and "x" not in digits and len(digits.lstrip("-")) > 1
    if octal and not set(digits) <= set("-01234567"):
        raise ScenarioError(
            token.place, clip(token.text), phrase("digits from 0 to 7: a number that begins with 0 is octal, as in C")
        )
    # Not longer than 64 bits have digits: int() itself would refuse thousands of them in its own words.
    value = int(digits, 16 if "x" in digits else 8 if octal else 10) * _BIT[unit] if len(digits) < 26 else 1 << 64
    if not -(1 << 63) <= value < 1 << 64:
        raise ScenarioError(
            token.place, clip(token.text), phrase("a number of 64 bits, from -0x8000000000000000 to 0xffffffffffffffff")
        )
    return Number(value, token.text)


def hexadecimal(token: Token) -> bytes:
    """The bytes of ``x"00ff"``. Raises ScenarioError."""
    digits = token.text[2:-1].replace(" ", "")
    if len(digits) % 2 or not re.fullmatch(r"[0-9A-Fa-f]*", digits):
        raise ScenarioError(token.place, clip(token.text), phrase('pairs of hexadecimal digits, as in x"00ff"'))
    return bytes.fromhex(digits)


def string(token: Token) -> bytes:
    """The bytes of a text in double quotes. Raises ScenarioError."""
    text = token.text[1:-1]
    found = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        place = Position(token.place.line, token.place.column + 1 + position)
        if character != "\\":
            if not character.isprintable():
                raise ScenarioError(
                    place,
                    phrase("the character %(character)r", character=character),
                    phrase("printable text, or an escape such as \\n or \\x07"),
                )
            found += character.encode()
            position += 1
            continue
        escape = text[position + 1]
        if escape == "x":
            digits = text[position + 2 : position + 4]
            if not re.fullmatch(r"[0-9A-Fa-f]{2}", digits):
                raise ScenarioError(
                    place, clip(text[position : position + 4]), phrase("two hexadecimal digits, as in \\x07")
                )
            found.append(int(digits, 16))
            position += 4
        elif octal := _OCTAL.match(text, position + 1):
            if int(octal.group(), 8) > 255:
                raise ScenarioError(
                    place, f"\\{octal.group()}", phrase("a byte: up to three octal digits, at most \\377")
                )
            found.append(int(octal.group(), 8))
            position = octal.end()
        elif escape in ESCAPES:
            found.append(ESCAPES[escape])
            position += 2
        else:
            raise ScenarioError(
                place, f"\\{escape}", phrase('one of \\n \\t \\r \\0 \\a \\b \\f \\v \\\\ \\" \\xHH \\OOO (octal)')
            )
    return bytes(found)
