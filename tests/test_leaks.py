"""The check that nothing is left behind, held against things left behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import leaks
from tests.eventually import eventually

pytestmark = pytest.mark.process


def test_a_descriptor_left_open_is_found(temporary_directory: Path) -> None:
    before = leaks.look(temporary_directory)
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert before.left(temporary_directory).fds == {fd: "/dev/null"}
    finally:
        os.close(fd)
    assert not before.left(temporary_directory)


def test_a_number_that_stands_for_another_object_afterwards_is_found(temporary_directory: Path) -> None:
    with open("/dev/null") as null, open("/dev/zero") as zero:
        before = leaks.look(temporary_directory)
        os.dup2(zero.fileno(), null.fileno(), inheritable=False)
        assert before.left(temporary_directory).fds == {null.fileno(): "/dev/zero"}


def test_a_child_and_its_orphan_are_found(temporary_directory: Path) -> None:
    before = leaks.look(temporary_directory)
    child = subprocess.Popen(
        ["sh", "-c", "setsid sleep 60 & echo $!; read never"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin and child.stdout
    orphan = int(child.stdout.readline())
    eventually(lambda: {child.pid, orphan} <= set(before.left(temporary_directory).processes), "both are found")
    with child:
        child.kill()
    assert orphan in before.left(temporary_directory).processes
    os.kill(orphan, 9)
    assert not before.left(temporary_directory, patience=5).processes


def test_a_file_left_in_the_temporary_directory_is_found(temporary_directory: Path) -> None:
    before = leaks.look(temporary_directory)
    fd, name = tempfile.mkstemp()
    os.close(fd)
    assert before.left(temporary_directory).files == [Path(name)]
    os.unlink(name)
