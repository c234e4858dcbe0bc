"""The calls of ptrace(2) that are made here, and what a stop tells. process_vm_readv(2) beside it."""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_readv.argtypes = [
    ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong,
]  # fmt: skip

CONT, DETACH, SYSCALL, LISTEN = 7, 17, 24, 0x4208
_GETEVENTMSG, _GETREGSET, _SETREGSET, _SEIZE, _INTERRUPT, _GET_SYSCALL_INFO = (
    0x4201, 0x4204, 0x4205, 0x4206, 0x4207, 0x420E,
)  # fmt: skip
FORK, VFORK, CLONE, EXEC, EXIT, SECCOMP, STOP = 1, 2, 3, 4, 6, 7, 128
"""PTRACE_EVENT_..., linux/ptrace.h."""
_ATTACHED = 1 | 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC | 1 << EXIT
"""TRACESYSGOOD, and these events. Without SECCOMP: what a filter of the program's own answers stays as it is."""
_LAUNCHED = _ATTACHED | 1 << SECCOMP | 1 << 20
"""... and EXITKILL."""
SYSCALL_STOP = 5 | 0x80
"""SIGTRAP with the bit of TRACESYSGOOD."""
_NT_PRSTATUS = 1
_FIRST_ARGUMENT = {"x86_64": 14, "aarch64": 0}[platform.machine() if platform.machine() == "x86_64" else "aarch64"]
"""Which word of the general registers holds a call's first argument: sys/user.h."""
_INFO = struct.Struct("=BxxxI16x")
"""The head of struct ptrace_syscall_info: op, arch."""
_AT_EXIT = 2
"""PTRACE_SYSCALL_INFO_EXIT."""
_REGISTERS = ctypes.create_string_buffer(27 * 8)
_VECTOR = (ctypes.c_size_t * 2)(ctypes.addressof(_REGISTERS), len(_REGISTERS))
_WORDS = struct.Struct("=27Q")
_PLACES = (10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16)
"""Which word of struct user_regs_struct is rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, rip: sys/user.h."""
_MESSAGE = ctypes.c_ulong()
_ROOM = ctypes.create_string_buffer(88)


class Gone(Exception):
    """There is no such task any more, or it does not stand still."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A call at its entry."""

    arch: int
    """AUDIT_ARCH_..., linux/audit.h."""
    number: int
    words: tuple[int, ...]


def _ptrace(request: int, tid: int, address: int | None = 0, data: int | None = 0) -> int:
    answer = int(_libc.ptrace(request, tid, address, data))
    if answer < 0:
        code = ctypes.get_errno()
        if code == errno.ESRCH:
            raise Gone
        raise OSError(code, os.strerror(code))
    return answer


def seize(tid: int, *, launched: bool) -> None:
    """Traces a task. One that was `launched` for it dies with this process; another one lives on. Raises OSError where
    the kernel does not let this process trace that one; Gone."""
    _ptrace(_SEIZE, tid, 0, _LAUNCHED if launched else _ATTACHED)


def interrupt(tid: int) -> None:
    """Makes a task stand still: an event STOP follows. Raises Gone."""
    _ptrace(_INTERRUPT, tid)


def resume(tid: int, how: int = CONT, signal: int = 0) -> None:
    """Lets a task go on. Raises Gone."""
    _ptrace(how, tid, 0, signal)


def message(tid: int) -> int:
    """What an event tells. Raises Gone."""
    _ptrace(_GETEVENTMSG, tid, 0, ctypes.addressof(_MESSAGE))
    return _MESSAGE.value


def call(tid: int) -> Entry | int:
    """Of a task that stands at a call: the call at its entry, or at its exit what it returns. Raises Gone."""
    _ptrace(_GET_SYSCALL_INFO, tid, len(_ROOM), ctypes.addressof(_ROOM))
    at, arch = _INFO.unpack_from(_ROOM)
    if at == _AT_EXIT:
        return int(struct.unpack_from("=q", _ROOM, 24)[0])
    number, *words = struct.unpack_from("=7Q", _ROOM, 24)
    return Entry(arch, number, tuple(words))


def registers(tid: int) -> dict[int, int]:
    """The registers of a task that stands still, by their numbers in DWARF: psABI x86_64, figure 3.36. Raises Gone."""
    _ptrace(_GETREGSET, tid, _NT_PRSTATUS, ctypes.addressof(_VECTOR))
    words = _WORDS.unpack_from(_REGISTERS)
    return {number: words[place] for number, place in enumerate(_PLACES)}


def set_first_argument(tid: int, value: int) -> None:
    """Of a task at the entry of a call. Raises Gone."""
    registers = ctypes.create_string_buffer(1024)
    vector = struct.pack("=QQ", ctypes.addressof(registers), len(registers))
    room = ctypes.create_string_buffer(vector, len(vector))
    _ptrace(_GETREGSET, tid, _NT_PRSTATUS, ctypes.addressof(room))
    struct.pack_into("=Q", registers, 8 * _FIRST_ARGUMENT, value)
    _ptrace(_SETREGSET, tid, _NT_PRSTATUS, ctypes.addressof(room))


def read(tid: int, address: int, length: int) -> bytes:
    """Memory of another process. Raises OSError where not all of it can be read."""
    if length <= 0:
        return b""
    if not 0 <= address < 1 << 64:
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    into = ctypes.create_string_buffer(length)
    vectors = struct.pack("=QQQQ", ctypes.addressof(into), length, address, length)
    room = ctypes.create_string_buffer(vectors, len(vectors))
    at = ctypes.addressof(room)
    came = _libc.process_vm_readv(tid, at, 1, at + 16, 1, 0)
    if came != length:
        code = ctypes.get_errno() if came < 0 else errno.EFAULT
        raise OSError(code, os.strerror(code))
    return into.raw
