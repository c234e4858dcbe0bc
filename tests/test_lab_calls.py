"""The table of calls: each call has all of its pieces, in one place, and they agree with the kernel's own."""

from __future__ import annotations

import pyseccomp
import pytest

from pairscope.lab.calls import CALLS
from pairscope.lab.calls.call import Call
from pairscope.lab.calls.descriptors import Close

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
    ours = {call.kernel[machine].name: call.kernel[machine].number for call in CALLS.values()}
    theirs = {name: pyseccomp.resolve_syscall(MACHINES[machine], name) for name in ours}
    assert ours == theirs


def test_what_the_c_library_calls_is_allowed_to_actors_on_each_machine() -> None:
    for call in CALLS.values():
        allowed = {each.call for each in call.seccomp}
        for machine, kernel in call.kernel.items():
            # pthread_create takes clone where clone3 is said not to exist
            assert {"clone3": "clone"}.get(kernel.name, kernel.name) in allowed, (call.name, machine)
