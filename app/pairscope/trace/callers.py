"""How the registers of a caller are computed, by the rules that call frame information gives: DWARF 5, sections 2.5 and
6.4. Pure.

Whoever made the program may have made these by hand: what an expression may do has its bounds, and none jumps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

Read = Callable[[int, int], bytes]
"""Memory at an address, so many bytes; raises OSError where there are not as many."""

RETURN, STACK = 16, 7
"""Numbers of the registers rip and rsp: psABI x86_64, figure 3.36."""
_DEEP = 64
"""Numbers that an expression holds."""
WORD = (1 << 64) - 1


class Unknown(Exception):
    """There is no call frame information for it, or it is not understood."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """Where a value of the caller is. ``offset``: stored at the CFA and so many bytes; ``value``: it is the CFA and so
    many; ``register``: in another one; ``stored``, ``computed``: at, or by, an expression; ``undefined``: nowhere."""

    kind: str
    number: int = 0
    expression: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """The rules at one address. CFA: what the stack pointer was before the call."""

    register: int
    offset: int
    expression: bytes
    """By which the CFA is computed; empty: it is the register and the offset."""
    rules: Mapping[int, Rule]
    signal: bool
    """It was interrupted by a signal: its caller stands at an instruction that was not executed yet."""


class Bytes:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        if len(part) != size:
            raise Unknown
        self.at += size
        return part

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def uleb(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value & WORD
            if shift > 63:
                raise Unknown

    def sleb(self) -> int:
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if bits < 64 and value >> bits - 1 & 1 else signed_word(value)

    def block(self) -> bytes:
        return self.take(self.uleb())


def signed_word(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def caller(row: Row, registers: Mapping[int, int], read: Read) -> dict[int, int]:
    """The registers of the caller; without a return address where there is none. Raises Unknown, OSError."""
    if row.expression:
        cfa = _computed(row.expression, registers, read, None)
    elif row.register in registers:
        cfa = (registers[row.register] + row.offset) & WORD
    else:
        raise Unknown
    found = dict(registers)
    found.pop(RETURN, None)
    found[STACK] = cfa
    for number, rule in row.rules.items():
        if rule.kind == "offset":
            found[number] = _word(read, cfa + rule.number)
        elif rule.kind == "stored":
            found[number] = _word(read, _computed(rule.expression, registers, read, cfa))
        elif rule.kind == "computed":
            found[number] = _computed(rule.expression, registers, read, cfa)
        elif rule.kind == "value":
            found[number] = (cfa + rule.number) & WORD
        elif rule.kind == "register" and rule.number in registers:
            found[number] = registers[rule.number]
        else:
            found.pop(number, None)
    return found


def _word(read: Read, address: int) -> int:
    return int.from_bytes(read(address & WORD, 8), "little")


def _computed(expression: bytes, registers: Mapping[int, int], read: Read, first: int | None) -> int:
    """What an expression gives: DWARF 5, section 2.5. Without those that jump: so it ends."""
    code, stack = Bytes(expression), [] if first is None else [first]
    while code.at < len(expression):
        (byte,) = code.take(1)
        if len(stack) > _DEEP:
            raise Unknown
        try:
            if 0x30 <= byte <= 0x4F:  # lit
                stack.append(byte - 0x30)
            elif 0x70 <= byte <= 0x8F:  # breg
                stack.append((registers[byte - 0x70] + code.sleb()) & WORD)
            elif byte == 0x92:  # bregx
                register = code.uleb()
                stack.append((registers[register] + code.sleb()) & WORD)
            elif 0x08 <= byte <= 0x0F:  # const1u ... const8s
                stack.append(code.number(1 << (byte - 8 >> 1), signed=bool(byte & 1)) & WORD)
            elif byte == 0x10:  # constu
                stack.append(code.uleb())
            elif byte == 0x11:  # consts
                stack.append(code.sleb() & WORD)
            elif byte == 0x06:  # deref
                stack.append(_word(read, stack.pop()))
            elif byte == 0x23:  # plus_uconst
                stack.append((stack.pop() + code.uleb()) & WORD)
            elif byte in _TWO:
                second, one = stack.pop(), stack.pop()
                stack.append(_TWO[byte](one, second) & WORD)
            else:
                raise Unknown
        except (IndexError, KeyError):
            raise Unknown from None
    if not stack:
        raise Unknown
    return stack[-1]


_TWO: dict[int, Callable[[int, int], int]] = {
    0x1A: lambda one, two: one & two,
    0x1C: lambda one, two: one - two,
    0x21: lambda one, two: one | two,
    0x22: lambda one, two: one + two,
    0x24: lambda one, two: one << two if two < 64 else 0,
    0x2A: lambda one, two: int(signed_word(one) >= signed_word(two)),
}
"""and, minus, or, plus, shl, ge: those of glibc's and of a linker's own."""
