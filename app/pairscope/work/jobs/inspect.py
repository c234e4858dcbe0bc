from __future__ import annotations

import codecs
import os
import re
from typing import Any

import charset_normalizer
import puremagic
from charset_normalizer.constant import IANA_SUPPORTED

from pairscope.work.job import JobKind, Task
from pairscope.work.stream import pieces, size

SAMPLE = 64 * 1024
HEAD, FOOT = puremagic.main.max_head, puremagic.main.max_foot
"""Bytes at the start and at the end in which puremagic's signatures lie."""
LIKELY = ("ascii", "utf_8", "latin_1", "cp1252", "cp1251", "koi8_r", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr")
"""Which is named where several fit equally well; charset-normalizer would take the first in the alphabet."""
WIDE = ("utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le")
_ONLY_WIDE = list(WIDE)
_NOT_WIDE = (
    "ascii utf_8 latin_1 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp866 cp874 iso8859_2 "
    "iso8859_5 iso8859_6 "
    "iso8859_7 iso8859_8 iso8859_9 iso8859_15 koi8_r koi8_u shift_jis cp932 euc_jp iso2022_jp gb18030 big5 euc_kr cp949"
).split()
"""What browsers still read (encoding.spec.whatwg.org). Asked for all 99 that it knows, charset-normalizer took Spanish
in Latin-1 for cp1006, which is Urdu, and German for mac-latin2."""
STANDARD = {"application/x-gzip": "application/gzip", "image/x-ms-bmp": "image/bmp"}
"""Names of puremagic's that have been registered since (RFC 6713, RFC 7903)."""
SURE = 0.4
"""puremagic's confidence is a tenth for each byte of the signature: text that begins with ``MZ`` or ``BM`` is still
text."""

_CONTROL = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
"""What text holds in no encoding but UTF-16 and UTF-32; file(1) decides likewise."""
_SPACE = b" \t\n\v\f\r"
_SHAPE = bytes(0x20 if byte in _SPACE else 0x78 for byte in range(256))
"""Turns white space into blanks and the rest into x, so that a word begins at each ``" x"``."""


class Inspect(JobKind):
    """Media type, text encoding, and line, word and byte counts, all from the content."""

    name = "inspect"
    deadline = 120.0

    def run(self, task: Task) -> dict[str, Any]:
        self.expect(task)
        assert task.input is not None
        total = size(task.input)
        head = os.pread(task.input, max(HEAD, SAMPLE), 0)
        if not head:
            return {
                "bytes": 0,
                "media_type": "inode/x-empty",
                "text": False,
                "encoding": None,
                "encoding_from": None,
                "lines": 0,
                "words": 0,
            }
        foot = os.pread(task.input, FOOT, max(0, total - FOOT))
        encoding = _encoding(head[:SAMPLE], whole=total <= SAMPLE)
        count = _Count(encoding)
        for piece in pieces(task.input):
            count.add(piece)
        count.end()
        encoding = count.encoding
        return {
            "bytes": count.bytes,
            "media_type": _media_type(head if total <= HEAD else head[:HEAD] + foot, bool(encoding)),
            "text": bool(encoding),
            "encoding": encoding and codecs.lookup(encoding).name,
            "encoding_from": ("whole" if count.verified else "sample") if encoding else None,
            "lines": count.lines,
            "words": count.words,
        }

    def exercise(self) -> None:
        for name in IANA_SUPPORTED:
            codecs.lookup(name)
        for sample in ("text", "Grüße", "日本語のテキスト" * 9, "Привет, как дела у вас сегодня\n" * 9):
            for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-32", "koi8-r", "shift_jis", "latin-1"):
                self.attempt(sample.encode(encoding, "replace"))
        self.attempt(b"")
        self.attempt(bytes(range(256)) * 16)
        self.attempt(b"a" * SAMPLE + "ü".encode("latin-1"))
        self.attempt(b"\x89PNG\r\n\x1a\n" + bytes(64))


class _Count:
    """Lines, words and bytes as ``wc`` counts them in the C locale, over the text where the encoding is a wide one.

    UTF-8 is checked over the whole input on the way, so that a sample that was plain ASCII does not decide for it.
    """

    def __init__(self, encoding: str | None) -> None:
        self.encoding = encoding
        self.bytes = self.lines = self.words = 0
        self.verified = encoding in ("ascii", "utf_8")
        self._wide = codecs.getincrementaldecoder(encoding)("replace") if encoding in WIDE else None
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._in_word = False

    def add(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if self._wide:
            self._measure(self._wide.decode(piece).encode())
            return
        if self.encoding and b"\0" in piece:
            self.encoding, self.verified = None, False
        if self.verified:
            self._verify(piece)
        self._measure(piece)

    def end(self) -> None:
        if self._wide:
            self._measure(self._wide.decode(b"", True).encode())
        elif self.verified:
            self._verify(b"", final=True)

    def _verify(self, piece: bytes, final: bool = False) -> None:
        if self.encoding == "ascii" and piece.isascii():
            return
        try:
            self._utf8.decode(piece, final)
            self.encoding = "utf_8" if piece else self.encoding
        except UnicodeDecodeError as error:
            self.verified = False
            if not final:  # else only the last character is cut
                start = max(error.object.rfind(b"\n", 0, error.start) + 1, error.start - 1024)
                self.encoding = _encoding(error.object[start : error.start + SAMPLE], whole=False)

    def _measure(self, text: bytes) -> None:
        if not text:
            return
        self.lines += text.count(b"\n")
        shape = text.translate(_SHAPE)
        self.words += shape.count(b" x") + (not self._in_word and shape[0] == 0x78)
        self._in_word = shape[-1] == 0x78


def _encoding(sample: bytes, whole: bool) -> str | None:
    """The codec that reads `sample` as text; None: it is not text. Asks charset-normalizer where it is not plainly
    UTF-8."""
    control = bool(_CONTROL.search(sample))
    if not control and b"\x1b" not in sample:  # an escape may be ISO 2022
        try:
            codecs.getincrementaldecoder("utf-8")().decode(sample, whole)
            return "ascii" if sample.isascii() else "utf_8"
        except UnicodeDecodeError:
            pass
    wide = control or sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    choice = _ONLY_WIDE if wide else _NOT_WIDE
    if not wide:  # what is plain in every encoding only thins the evidence out
        sample = b"\n".join(line for line in sample.split(b"\n") if not line.isascii()) or sample
    cuts = range(1 if whole else 4)  # the sample may end within a character
    matches = [
        match
        for cut in cuts
        for match in charset_normalizer.from_bytes(sample[: len(sample) - cut], cp_isolation=choice)
    ]
    if not matches:
        return None
    order = min(map(_order, matches))
    best = [match for match in matches if _order(match) == order]
    return next((name for name in LIKELY for match in best if _reads(name, match)), best[0].encoding)


def _order(match: charset_normalizer.CharsetMatch) -> tuple[float, float]:
    return match.chaos, -match.coherence


def _reads(name: str, match: charset_normalizer.CharsetMatch) -> bool:
    try:
        return match.raw.decode(name) == str(match)
    except UnicodeDecodeError:
        return False


def _media_type(ends: bytes, text: bool) -> str:
    plain = "text/plain" if text else "application/octet-stream"
    try:
        matches = puremagic.magic_string(ends)
    except puremagic.PureError:
        return plain
    top = matches[0].confidence
    named: list[str] = [match.mime_type for match in matches if match.confidence == top and match.mime_type]
    if not named or (text and top < SURE and named[0] != "application/json"):
        return plain
    return STANDARD.get(named[0], named[0])
