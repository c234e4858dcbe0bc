"""A run in a network of its own, and one that can have none: by real runners, beside real strangers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from pairscope.lab import gallery

pytestmark = pytest.mark.process

TCP = "a: socket AF_INET SOCK_STREAM 0 -> s\n"
UNIX = "a: socket AF_UNIX SOCK_STREAM 0 -> s\n"


def runner(text: str, user: str | None = None, **environment: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pairscope.lab.runner"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
        user=user,
    )
    assert process.stdin
    process.stdin.write(text.encode())
    process.stdin.close()
    return process


def told(process: subprocess.Popen[bytes]) -> Any:
    with process:
        assert process.stdout
        return json.loads(process.stdout.read())


def run(text: str, **environment: str) -> Any:
    return told(runner(text, **environment))


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    sandbox = run("a: pipe -> r w\n")["sandbox"]
    if not sandbox["namespaces"]:
        pytest.skip(f"this machine gives no namespaces: {sandbox['missing']}")


def test_a_port_of_a_stranger_is_nobodys_in_a_run_and_may_be_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        at = f'"127.0.0.1:{stranger.getsockname()[1]}"'
        found = run(
            f"{TCP}a: connect s {at} => ECONNREFUSED\na: socket AF_INET SOCK_STREAM 0 -> t\na: bind t {at} => 0\n"
        )
        assert found["verdict"] == "held", found["reason"]
        assert found["sandbox"]["landlock"] is None or found["sandbox"]["landlock"]["network"] == []
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_the_kernels_answer_to_a_user_that_a_user_namespace_does_not_have_is_expected_too() -> None:
    found = told(runner(gallery.text("credentials"), user="nobody" if os.geteuid() == 0 else None))
    assert found["verdict"] == "held", found["reason"]
    if "user" in found["sandbox"]["namespaces"]:
        assert found["steps"][-1]["result"]["errno"] == "EINVAL"


def test_a_socket_that_was_not_bound_may_listen() -> None:
    assert run(TCP + "a: listen s 1 => 0\n")["verdict"] == "held"


def test_abstract_names_of_two_runs_and_of_a_stranger_do_not_meet() -> None:
    name = f"lab-apart-{os.getpid()}"
    text = (
        f'{UNIX}a: bind s "\\0{name}" => 0\na: listen s 1 => 0\na: socket AF_UNIX SOCK_STREAM 0 -> c\n'
        f'a: connect c "\\0{name}" => 0\na: accept s -> d\na: write c "mine" => 4\na: read d 9 => "mine"\n'
    )
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind("\0" + name)
        stranger.listen()
        stranger.setblocking(False)
        for one in [runner(text), runner(text)]:
            found = told(one)
            assert found["verdict"] == "held", found["reason"]
        with pytest.raises(BlockingIOError):
            stranger.accept()


@pytest.mark.parametrize("call", ["bind", "connect"])
def test_without_namespaces_an_abstract_name_is_refused_in_words_and_not_renamed(call: str) -> None:
    found = run(f'{UNIX}a: {call} s "\\0name"\n', PAIRSCOPE_NAMESPACES="none")
    assert found["verdict"] == "refused" and "abstract names are the whole machine's here" in found["reason"]
    assert "namespaces of its own: PAIRSCOPE_NAMESPACES is none" in found["sandbox"]["missing"]
    assert found["sandbox"]["namespaces"] == []


def test_without_namespaces_a_run_keeps_to_its_own_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        port = stranger.getsockname()[1]
        found = run(f'{TCP}a: connect s "127.0.0.1:{port}"\n', PAIRSCOPE_NAMESPACES="none")
        assert found["verdict"] == "refused" and f"no process of this run has port {port}" in found["reason"]
        with pytest.raises(BlockingIOError):
            stranger.accept()


def test_a_descriptor_passed_within_a_run_is_proved_there_as_before() -> None:
    """kcmp(2) works between processes that gave up their capabilities."""
    found = run(gallery.text("a-file-handed-over"))
    assert found["verdict"] == "held", found["reason"]
    after = [step["after"]["processes"] for step in found["steps"] if step["after"]]
    shared = [
        set.intersection(*({row["description"] for row in process["descriptors"]} for process in processes))
        for processes in after
        if len(processes) > 1
    ]
    assert any(shared), "no description is held by two processes"
