"""The table of calls: each call has all of its pieces, in one place, and they agree with the kernel's own."""

from __future__ import annotations

import errno
import os
import threading
from typing import Any

import pyseccomp
import pytest

from pairscope.lab.calls import CALLS, OBSERVED
from pairscope.lab.calls.call import Call
from pairscope.lab.calls.decoding import Data
from pairscope.lab.calls.descriptors import Close
from tests.tracing import Seen, mark, numbers_of, trace

MACHINES = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}


@pytest.mark.parametrize("piece", Call.PIECES)
def test_a_call_that_lacks_a_piece_is_an_error_that_names_both(piece: str) -> None:
    pieces = {name: getattr(Close, name) for name in Call.PIECES if name != piece}
    with pytest.raises(TypeError, match=rf"the call shut has no {piece}: "):
        type("Shut", (Call,), pieces | {"name": "shut"})


def test_a_class_with_all_pieces_is_a_call_and_is_in_the_table_only_if_a_module_of_the_package_has_it() -> None:
    pieces = {name: getattr(Close, name) for name in Call.PIECES}
    shut = type("Shut", (Call,), pieces | {"name": "shut"})()
    assert [argument.name for argument in shut.arguments] == ["fd"] and "shut" not in CALLS


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_of_the_calls_are_those_that_libseccomp_has(machine: str) -> None:
    ours = {call.kernel[machine].name: call.kernel[machine].number for call in OBSERVED.values()}
    theirs = {name: pyseccomp.resolve_syscall(MACHINES[machine], name) for name in ours}
    assert ours == theirs


def test_what_the_c_library_calls_is_allowed_to_actors_on_each_machine() -> None:
    for call in CALLS.values():
        allowed = {each.call for each in call.seccomp}
        for machine, kernel in call.kernel.items():
            # pthread_create takes clone where clone3 is said not to exist
            assert {"clone3": "clone"}.get(kernel.name, kernel.name) in allowed, (call.name, machine)


# ---- what a call was given: told by our own arguments, and by the registers and the memory of whoever makes it

TEXT = [b"hello", 3]
GIVEN: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {
    "socketpair": [([1, 0x80001, 0], {})],
    "pipe2": [([0x80800], {}), ([-1], {})],
    "pipe": [([], {})],
    "socket": [([10, 1, 6], {})],
    "bind": [([-1, [b"127.0.0.1:80", 1]], {}), ([99, [b"[::1]:65535", 1]], {}), ([99, [b"f", 1]], {})],
    "listen": [([99, -1], {})],
    "connect": [([99, [b"\0abstract\0", 1]], {}), ([99, [b"door", 1]], {})],
    "accept": [([99], {})],
    "fork": [([], {})],
    "thread": [([], {})],
    "close": [([0xFFFFFFFF], {})],
    "dup": [([99], {})],
    "dup2": [([99, 98], {})],
    "dup3": [([99, 98, 0x80000], {})],
    "read": [([99, 5], {}), ([99, 9, 5], {}), ([99, "NULL", 5], {}), ([99, "BADPTR", 5], {})],
    "write": [
        ([99, TEXT], {}),
        ([99, TEXT, 7], {}),
        ([99, [b"", 1]], {}),
        ([99, "BADPTR", 5], {}),
        ([99, "NULL", 1], {}),
    ],
    "send": [([99, [b"x", 70000], 0x4000], {})],
    "recv": [([99, 100, 0x40], {})],
    "sendmsg": [
        ([99], {"iov": [TEXT, [b"", 1], [b"y" * 5000, 1]], "fds": [3, -1], "flags": 0x40}),
        ([99], {"iov": [], "creds": [1, 2, 3], "fds": [0], "control": 20}),
        ([99], {"iov": [TEXT], "raw": [b"\1\2\3", 1]}),
        ([99], {"iov": [TEXT], "cmsg_len": 5, "fds": [1]}),
        ([99], {"iov": [TEXT], "bad_iov": "BADPTR"}),
        ([99], {"iov": [], "bad_iov": "NULL", "fds": [1, 2]}),
    ],
    "recvmsg": [
        ([99], {"iov": [1, 100]}),
        ([99], {"iov": [], "control": 0, "flags": 0x40000000}),
        ([99], {"iov": [8], "control": 24, "bad_iov": "BADPTR"}),
    ],
    "shutdown": [([99, 2], {})],
    "setsockopt": [([99, 1, 16, 1], {}), ([99, 1, 20, [b"\1" * 16, 1]], {})],
    "getsockopt": [([99, 1, 17], {})],
    "fcntl": [([99, 1], {}), ([99, 4, 0x800], {})],
    "open": [
        ([[b"/nowhere/f", 1], 0o102, 0o644], {}),
        ([[b"/nowhere/g", 1], 0], {}),
        ([[b"/nowhere/h", 1], 0o100], {}),
    ],
    "memfd_create": [([[b"a\0b", 1], 3], {})],
    "ftruncate": [([99, -5], {}), ([99, 1 << 40], {})],
    "lseek": [([99, -(1 << 40), 2], {})],
    "pread": [([99, 10, 1 << 33], {})],
    "pwrite": [([99, TEXT, -1], {})],
    "eventfd": [([7, 0x80800], {})],
    "poll": [([[99, -1], [1, 4], 0], {}), ([98, 1, 0], {}), ([[], 0, 0], {})],
    "pidfd_open": [([1 << 22, 0], {})],
    "pidfd_send_signal": [([99, 15], {})],
    "signal": [([10, "SIG_IGN"], {}), ([10, "HANDLER"], {}), ([10, "SIG_DFL"], {})],
    "kill": [([1 << 22, 0], {})],
    "waitpid": [([1 << 22, 1], {})],
    "wait": [([], {}), ([-1], {}), ([1 << 22, 1], {})],
    "ioctl": [([99, 0x541B], {}), ([0, 0x5411], {})],
    "isatty": [([99], {}), ([-1], {})],
    "exit": [([3], {})],
}
"""Calls that change nothing, or nothing that outlives the process; of each some."""


@pytest.mark.process
def test_what_each_call_was_given_is_told_alike_by_its_arguments_and_by_registers_and_memory(made: list[Seen]) -> None:
    assert set(GIVEN) == set(CALLS)
    expected = [(name, arguments, named) for name, several in GIVEN.items() for arguments, named in several]
    assert len(made) == len(expected)
    for (name, arguments, named), seen in zip(expected, made):
        call = CALLS[name]
        assert seen.name == name and seen.number in numbers_of(call), (name, seen.number)
        assert seen.given == call.by_arguments(arguments, named, 4096), (name, arguments, named)


def test_what_a_call_was_given_is_told_without_its_bytes_where_none_are_wanted() -> None:
    assert CALLS["write"].by_arguments([3, TEXT], {}, 0) == {"fd": 3, "data": Data(15, b"")}

    def nobody(address: int, length: int) -> bytes:
        raise AssertionError("the memory is not read")

    assert CALLS["write"].by_registers([3, 4096, 15, 0, 0, 0], nobody, 0) == {"fd": 3, "data": Data(15, b"")}


def test_an_address_that_nobody_has_mapped_is_told_as_such() -> None:
    def nothing(address: int, length: int) -> bytes:
        raise OSError(errno.EIO, "nothing is mapped there")

    for call in CALLS.values():
        told = call.by_registers([3, 1, 9, 1, 9, 0], nothing)
        assert isinstance(told, dict), call.name
    assert CALLS["sendmsg"].by_registers([3, 1, 0, 0, 0, 0], nothing) == {"fd": 3, "flags": 0, "message": "BADPTR"}


@pytest.fixture(scope="module")
def made() -> list[Seen]:
    """Each call of GIVEN, made by a process of its own, as its registers and its memory tell it."""
    return trace(_makes_them)[0]


def _makes_them() -> None:
    for name, several in GIVEN.items():
        for arguments, named in several:
            mark(name)
            if name == "fork":
                if not (child := os.fork()):
                    os._exit(0)
                os.waitpid(child, 0)
            elif name == "thread":
                thread = threading.Thread(target=lambda: None)
                thread.start()
                thread.join()
            elif name == "exit":
                os._exit(*arguments)
            else:
                CALLS[name].make(*arguments, **named)
