"""How values, names and comments are written in C."""

from __future__ import annotations

from collections.abc import Iterable

from pairscope.lab import named as naming
from pairscope.lab.calls.programs import Actor
from pairscope.lab.model import Number

_RESERVED = frozenset(
    "auto break case char const continue default do double else enum extern float for goto if inline int long "
    "register restrict return short signed "
    "sizeof static struct switch typedef union unsigned void volatile while asm typeof alignas alignof bool true false "
    "errno stdin stdout stderr noreturn static_assert thread_local unix linux i386".split()
)
_PREFIXES = ("s6_", "sa_", "sched_", "si_", "st_", "h_")
OLD = frozenset(
    "AF_UNIX AF_INET AF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_SEQPACKET SOCK_RAW SOCK_NONBLOCK SOCK_CLOEXEC "
        "SOL_SOCKET SCM_RIGHTS SCM_CREDENTIALS "
    "MSG_PEEK MSG_DONTWAIT MSG_WAITALL MSG_TRUNC MSG_CTRUNC MSG_OOB MSG_EOR MSG_MORE MSG_NOSIGNAL "
        "MSG_DONTROUTE MSG_CMSG_CLOEXEC MSG_ERRQUEUE MSG_CONFIRM "
    "SO_PASSCRED SO_PEERCRED SO_SNDBUF SO_RCVBUF SO_SNDTIMEO SO_RCVTIMEO SO_TYPE SO_ERROR SO_REUSEADDR "
        "SO_DOMAIN SO_PROTOCOL SO_ACCEPTCONN SO_RCVLOWAT SO_SNDLOWAT "
    "SHUT_RD SHUT_WR SHUT_RDWR SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE FD_CLOEXEC WNOHANG WUNTRACED "
        "WCONTINUED SIG_DFL SIG_IGN "
    "O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL O_TRUNC O_APPEND O_NONBLOCK O_CLOEXEC O_DIRECTORY O_NOFOLLOW "
        "O_PATH O_TMPFILE O_DIRECT "
    "O_SYNC O_DSYNC O_ASYNC O_NOCTTY O_NOATIME O_ACCMODE O_NDELAY O_FSYNC O_RSYNC "
    "F_DUPFD F_DUPFD_CLOEXEC F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_GETOWN F_SETOWN "
        "F_GETSIG F_SETSIG F_ADD_SEALS F_GET_SEALS F_SEAL_SEAL "
    "F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SETPIPE_SZ F_GETPIPE_SZ F_RDLCK F_WRLCK F_UNLCK MFD_CLOEXEC "
        "MFD_ALLOW_SEALING EFD_SEMAPHORE EFD_NONBLOCK EFD_CLOEXEC".split()
) | set(naming.EVENTS.names)  # fmt: skip
"""Constants that every C library has; the signals beside them. Any other is given its number where a header lacks
it."""
_DECLARED = ("pid_t pid;", "pthread_t thread;", "int pair[2];")
"""In this order; others behind them."""
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def reserved(name: str) -> bool:
    """Whether no member of a structure can be called that: it is a word of C, or a macro of a header or of the
    compiler."""
    return name in _RESERVED or (name.startswith(_PREFIXES) and not name.endswith("_"))


def literal(data: bytes) -> str:
    """Bytes as a string literal of C: printable ASCII, and no trigraph."""
    found = []
    before = 0
    for byte in data:
        if byte in _ESCAPES:
            found.append(_ESCAPES[byte])
        elif byte == 63 and before == 63:
            found.append("\\?")
        else:
            found.append(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        before = byte
    return f'"{"".join(found)}"'


def number(value: int) -> str:
    return "(-9223372036854775807 - 1)" if value == -(1 << 63) else str(value)


def written(value: Number) -> str:
    """A number as the scenario has it: ``64K`` as a product, ``0644`` as it is."""
    shown = value.shown
    for unit, factor in (("K", "1024"), ("M", "1024 * 1024")):
        if shown.endswith(unit):
            inner = (
                shown[:-1]
                if shown[:-1].startswith(("0x", "-0x"))
                else str(value.value // (1024 if unit == "K" else 1024 * 1024))
            )
            return factor if inner == "1" else f"{inner} * {factor}"
    return shown if "x" in shown or shown.lstrip("-").startswith("0") else number(value.value)


def listed(head: str, entries: list[str], width: int = 90) -> list[str]:
    """An initialiser, on one line if it fits."""
    whole = f"{head} {', '.join(entries)} }};"
    if len(whole) <= width + 16 and "\n" not in whole:
        return [whole]
    rows, row = [], ""
    for entry in entries:
        if row and (len(row) + len(entry) > width or "\n" in row + entry):
            rows.append(row)
            row = ""
        row += f"{' ' if row else ''}{entry},"
    return [head, *(f"\t{line}" for row in [*rows, row] for line in row.split("\n")), "};"]


def declared(line: str) -> tuple[int, str]:
    """Where a variable that steps share is declared."""
    return _DECLARED.index(line) if line in _DECLARED else len(_DECLARED), line


def bits(names: Iterable[str]) -> str:
    """Rows of a table. The C library's O_LARGEFILE is not the kernel's."""
    return "\n".join(f'\t\t{{ {"LARGEFILE" if name == "O_LARGEFILE" else name}, "{name}" }},' for name in names)


def comment(text: str) -> str:
    """Text that neither ends a comment, nor begins another, nor is a trigraph, nor joins lines."""
    for pair, apart in (("*/", "* /"), ("/*", "/ *"), ("??", "? ?"), ("??", "? ?")):
        text = text.replace(pair, apart)
    return text.rstrip("\\")


def actor_name(name: str) -> str:
    """The constant that stands for an actor. Headers have no names of this form, but for some as L_tmpnam is."""
    return name[0].upper() + name[1:] + ("_" if name[1:2] == "_" else "")


def function_name(actor: Actor) -> str:
    return f"{actor.name}_{'thread' if actor.thread else 'process'}"


def heading(actor: Actor) -> str:
    return (
        f"static void *{function_name(actor)}(void *unused)"
        if actor.thread
        else f"static _Noreturn void {function_name(actor)}(void)"
    )
