"""Call frame information: how the registers of a caller are found from those of whom it called. Pure.

It is read where the kernel has mapped it, `.eh_frame_hdr` and `.eh_frame` of each module (the vdso has them too), one
function at a time. pyelftools reads files, and a whole section at once: 0.33 s for that of libc. DWARF 5, section 6.4;
LSB 5, "Exception Frames". Whoever made the program may have made this by hand: every read has its bounds, nothing here
goes back, and what is not understood is no caller.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
import struct
from array import array

from pairscope.trace.callers import RETURN, STACK, WORD, Bytes, Read, Row, Rule, Unknown

_MOST = 16 << 10
"""Bytes of one entry."""
_FUNCTIONS = 1 << 20
"""Entries of a module's index."""
_DEEP = 64
"""Rows that are remembered."""
_INDEX = 0x3B
"""Its entries are pairs of 4 bytes, relative to the index: the one form that linkers write."""

CLONE = re.compile(rb"\x48\x85\xc0\x7c.\x74.\xc3", re.DOTALL)
"""``test rax, rax; jl; jz; ret``: what follows the system call in glibc's clone and clone3. They have no information
there, for the child begins there without a caller; the parent returns to what its stack pointer points to."""
AT_ONCE = Row(STACK, 8, b"", {RETURN: Rule("offset", -8)}, False)
"""The rules of who returns with the next instruction."""


class Module:
    """A file that is mapped, by its own addresses: those of the process less `bias`. Raises Unknown, OSError."""

    def __init__(self, read: Read, base: int) -> None:
        """`base`: where its first page is mapped."""
        head = Bytes(read(base, 64))
        if head.take(6) != b"\x7fELF\x02\x01":
            raise Unknown
        segments, size, many = struct.unpack_from("<Q14xHH", head.data, 32)
        if size != 56 or many > 64:
            raise Unknown
        index = first = None
        for one in struct.iter_unpack("<IIQQQQQQ", read(base + segments, size * many)):
            if one[0] == 1 and first is None:  # PT_LOAD
                first = (one[3] - one[2]) & WORD
            elif one[0] == 0x6474E550:  # PT_GNU_EH_FRAME
                index = one[3]
        if first is None or index is None:
            raise Unknown
        self.bias = (base - first) & WORD
        self._index = index
        self._rows: dict[int, Row] = {}
        version, pointer, count, form, *_ = read(self.bias + index, 8)
        if version != 1 or count != 3 or form != _INDEX or pointer & 0xF not in (3, 11):
            raise Unknown
        (entries,) = struct.unpack("<I", read(self.bias + index + 8, 4))
        if entries > _FUNCTIONS:
            raise Unknown
        pairs = array("i", read(self.bias + index + 12, 8 * entries))
        self._starts, self._places = pairs[::2], pairs[1::2]

    def row(self, read: Read, at: int) -> Row:
        """The rules at one of its own addresses. Raises Unknown, OSError."""
        if (found := self._rows.get(at)) is None:
            if len(self._rows) > 10_000:
                self._rows.clear()
            found = self._rows[at] = self._find(read, at)
        return found

    def _find(self, read: Read, at: int) -> Row:
        place = bisect.bisect_right(self._starts, at - self._index) - 1
        if place < 0:
            raise Unknown
        return _row(read, self.bias, self.bias + self._index + self._places[place], at)


def _entry(read: Read, place: int) -> bytes:
    """An entry without its length. Raises Unknown."""
    (length,) = struct.unpack("<I", read(place, 4))
    if not 4 < length <= _MOST:  # also the form of 64 bits, which nobody writes
        raise Unknown
    return read(place + 4, length)


@dataclasses.dataclass(slots=True)
class _Common:
    """What functions have in common: a CIE."""

    code: int
    data: int
    form: int
    """How the first address of a function is written."""
    sized: bool
    """Whether an augmentation stands in its entries."""
    signal: bool
    instructions: bytes


def _common(read: Read, place: int) -> _Common:
    entry = Bytes(_entry(read, place))
    if entry.number(4) != 0 or entry.number(1) not in (1, 3):
        raise Unknown
    end = entry.data.find(b"\0", entry.at)
    if not 0 <= end - entry.at <= 8:
        raise Unknown
    letters = entry.take(end - entry.at).decode("latin-1")
    entry.at = end + 1
    code, data, link = entry.uleb(), entry.sleb(), entry.uleb()
    if link != RETURN or (letters and letters[0] != "z"):
        raise Unknown
    found = _Common(code, data, 0, bool(letters), "S" in letters, b"")
    if letters:
        behind = entry.uleb() + entry.at
        for letter in letters[1:]:
            if letter == "R":
                found.form = entry.number(1)
            elif letter == "L":
                entry.number(1)
            elif letter == "P":
                _pointer(entry, entry.number(1), 0)
            elif letter != "S":
                raise Unknown
        entry.at = behind
    found.instructions = entry.data[entry.at :]
    return found


def _pointer(entry: Bytes, form: int, here: int) -> int:
    """An address; `here`: where it stands. LSB 5, "DWARF Exception Header Encoding"."""
    size, signed = {
        0: (8, False),
        2: (2, False),
        3: (4, False),
        4: (8, False),
        10: (2, True),
        11: (4, True),
        12: (8, True),
    }.get(form & 0xF, (0, False))
    if not size or form & 0x70 not in (0, 0x10):
        raise Unknown
    value = entry.number(size, signed=signed)
    return (value + here if form & 0x10 else value) & WORD


def _row(read: Read, bias: int, place: int, at: int) -> Row:
    entry = Bytes(_entry(read, place))
    back = entry.number(4)
    if not back:
        raise Unknown
    common = _common(read, place + 4 - back)
    first = (_pointer(entry, common.form, place + 4 + entry.at) - bias) & WORD
    length = _pointer(entry, common.form & 0xF, 0)
    if not first <= at < first + length:
        raise Unknown
    if common.sized:
        entry.at += entry.uleb()
    return _Rows(common, first).run(entry.data[entry.at :], at)


class _Rows:
    """Goes through the instructions of a function, up to one address."""

    def __init__(self, common: _Common, first: int) -> None:
        self._common, self._at = common, first
        self._register, self._offset, self._expression = STACK, 0, b""
        self._rules: dict[int, Rule] = {}
        self._before: dict[int, Rule] = {}
        self._remembered: list[tuple[int, int, bytes, dict[int, Rule]]] = []

    def run(self, instructions: bytes, at: int) -> Row:
        self._go(Bytes(self._common.instructions), WORD)
        self._before = dict(self._rules)
        self._go(Bytes(instructions), at)
        return Row(self._register, self._offset, self._expression, self._rules, self._common.signal)

    def _go(self, code: Bytes, at: int) -> None:
        while code.at < len(code.data):
            (byte,) = code.take(1)
            high, low = byte & 0xC0, byte & 0x3F
            if high == 0x40 or byte in (0x02, 0x03, 0x04):  # advance_loc
                many = low if high else code.number({2: 1, 3: 2, 4: 4}[byte])
                self._at += many * self._common.code
                if self._at > at:
                    return
            elif high == 0x80:  # offset
                self._rules[low] = Rule("offset", code.uleb() * self._common.data)
            elif high == 0xC0:  # restore
                self._restore(low)
            else:
                self._other(byte, code)

    def _restore(self, register: int) -> None:
        if register in self._before:
            self._rules[register] = self._before[register]
        else:
            self._rules.pop(register, None)

    def _other(self, byte: int, code: Bytes) -> None:
        data, rules = self._common.data, self._rules
        if byte == 0x00:  # nop
            pass
        elif byte == 0x05:  # offset_extended
            register = code.uleb()
            rules[register] = Rule("offset", code.uleb() * data)
        elif byte == 0x06:  # restore_extended
            self._restore(code.uleb())
        elif byte == 0x07:  # undefined
            rules[code.uleb()] = Rule("undefined")
        elif byte == 0x08:  # same_value
            rules.pop(code.uleb(), None)
        elif byte == 0x09:  # register
            register = code.uleb()
            rules[register] = Rule("register", code.uleb())
        elif byte == 0x0A:  # remember_state
            if len(self._remembered) >= _DEEP:
                raise Unknown
            self._remembered.append((self._register, self._offset, self._expression, dict(rules)))
        elif byte == 0x0B:  # restore_state
            if not self._remembered:
                raise Unknown
            self._register, self._offset, self._expression, self._rules = self._remembered.pop()
        elif byte == 0x0C:  # def_cfa
            self._register, self._offset, self._expression = code.uleb(), code.uleb(), b""
        elif byte == 0x0D:  # def_cfa_register
            self._register = code.uleb()
        elif byte == 0x0E:  # def_cfa_offset
            self._offset = code.uleb()
        elif byte == 0x0F:  # def_cfa_expression
            self._expression = code.block()
        elif byte in (0x10, 0x16):  # expression, val_expression
            register = code.uleb()
            rules[register] = Rule("stored" if byte == 0x10 else "computed", 0, code.block())
        elif byte == 0x11:  # offset_extended_sf
            register = code.uleb()
            rules[register] = Rule("offset", code.sleb() * data)
        elif byte == 0x12:  # def_cfa_sf
            self._register, self._offset, self._expression = code.uleb(), code.sleb() * data, b""
        elif byte == 0x13:  # def_cfa_offset_sf
            self._offset = code.sleb() * data
        elif byte in (0x14, 0x15):  # val_offset, val_offset_sf
            register = code.uleb()
            rules[register] = Rule("value", (code.uleb() if byte == 0x14 else code.sleb()) * data)
        elif byte == 0x2E:  # GNU_args_size
            code.uleb()
        else:
            raise Unknown
