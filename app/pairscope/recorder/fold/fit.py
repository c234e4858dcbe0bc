"""What fits a column: text and numbers of other processes as every database takes them. Pure."""

from __future__ import annotations

LARGEST = (1 << 63) - 1


def safe(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogate (a file name that is no UTF-8)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\u2400").encode("utf-8", "backslashreplace").decode()


def words(text: str, length: int) -> str:
    """Text for people, at most `length` characters; what is cut ends in an ellipsis."""
    text = safe(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def word(text: str, length: int) -> str:
    """An identifier in ASCII, at most `length` characters."""
    if not text.isascii() or "\0" in text:
        text = text.replace("\0", "?").encode("ascii", "replace").decode()
    return text if len(text) <= length else text[: length - 2] + ".."


def signed(number: int) -> int:
    """A device or inode number, which the kernel counts without a sign, as a database keeps it: above 2**63 in two's
    complement."""
    return number if number <= LARGEST else number - (1 << 64)
