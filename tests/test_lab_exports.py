"""Exports: the programs do what the lab did, line for line; the transcript and the file hold what the run holds;
nothing in a text gets out of its place."""

from __future__ import annotations

import ast
import base64
import concurrent.futures
import contextlib
import copy
import importlib
import json
import os
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pairscope.lab import exports, gallery
from pairscope.lab import named as named_numbers
from pairscope.lab.calls import CALLS
from pairscope.lab.exports.lines import result_lines
from pairscope.lab.language import parse, quoted
from pairscope.lab.stage import manager
from pairscope.lab.stage.apart import apart
from tests.runs import plain, typed

pytestmark = pytest.mark.process

c_program, python_program = (importlib.import_module(f"pairscope.lab.exports.{name}") for name in ("c", "python"))
"""The modules: the package has functions of the same names."""
COMPILE = ("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2")

MORE = {
    "every other call": """
        p: eventfd 3 EFD_NONBLOCK -> e
        p: read e 8
        p: write e x"0500000000000000"
        p: read e 8
        p: read e 8
        p: pidfd_open p 0 -> q
        p: pidfd_send_signal q 0
        p: pipe2 O_NONBLOCK|O_CLOEXEC -> out in
        p: fcntl out F_GETFD
        p: dup3 e 20 O_CLOEXEC -> e2
        p: fcntl e2 F_GETFD
        p: dup3 e e O_CLOEXEC
        p: dup2 e -1
        p: fcntl e F_DUPFD 30 -> e3
        p: fcntl e3 F_GETFD
        p: fcntl e F_GETFL
        p: fcntl -1 F_GETFD
        p: poll [e, e, 99, -1] [POLLIN, POLLOUT, POLLIN, POLLIN] 0
        p: poll [] 0 10
        p: poll e POLLIN 30
        p: socket AF_UNIX SOCK_STREAM 0 -> s
        p: bind s "sock"
        p: listen s 4
        p: socket AF_UNIX SOCK_STREAM 0 -> c
        p: connect c "sock"
        p: accept s -> a
        p: bind c "\\0a socket of test NUMBER"
        p: write c "hello"
        p: recv a 2 MSG_PEEK|MSG_TRUNC
        p: read a 16 3
        p: read a 16
        p: read a NULL 0
        p: write a NULL 0
        p: sendmsg a iov=["x"] bad_iov=NULL
        p: recvmsg a iov=[4] bad_iov=BADPTR flags=MSG_DONTWAIT
        p: recvmsg a iov=[] flags=MSG_DONTWAIT
        p: getsockopt a SOL_SOCKET SO_RCVTIMEO
        p: getsockopt a SOL_SOCKET SO_TYPE
        p: getsockopt a SOL_SOCKET 9999
        p: getsockopt a SOL_SOCKET SO_LINGER
        p: write 1 "to nowhere"
        p: read 0 10
        p: kill p 0
        p: wait
        p: waitpid 0 WNOHANG
        p: memfd_create "a\\0b" MFD_CLOEXEC -> m
        p: ftruncate m 0x1K
        p: pread m 4 -1
        p: pwrite m "xyz" 1020
        p: lseek m 0 SEEK_END
        p: shutdown a 99
        p: listen m 5
        p: listen s -1
        p: socketpair AF_LOCAL SOCK_STREAM 0 -> l1 l2
        p: recv l1 1 MSG_DONTWAIT => EWOULDBLOCK
        p: socket PF_INET SOCK_STREAM IPPROTO_TCP -> tcp
        p: open "mode" O_RDWR|O_CREAT 0640 -> mode
        p: ftruncate m 02K
        p: lseek m 010 SEEK_SET => 8
        p: lseek m 0xffffffffffffffff SEEK_CUR => 7
        p: eventfd 0 EFD_NONBLOCK -> full
        p: write full x"feffffffffffffff"
        p: read full 8 => 8 x"feffffffffffffff" value=0xfffffffffffffffe
        p: write a "\\12\\0017" => 3
        p: exit 300
        """,
    "what waits": """
        p: socketpair AF_UNIX SOCK_STREAM 0 -> a b
        p: write a "hello"
        p: ioctl b FIONREAD => 0 value=5
        p: ioctl a SIOCOUTQ => 0
        p: ioctl a FIONREAD => value=0
        p: read b 5
        p: ioctl a SIOCOUTQ => value=0
        p: pipe -> r w
        p: write w "abc"
        p: ioctl r 0x541b => value=3
        p: ioctl r SIOCOUTQ => ENOTTY
        p: ioctl -1 FIONREAD => EBADF
        p: isatty a => 0
        p: isatty 0 => 0
        p: isatty -1 => 0
        """,
    "networks": """
        p: socket AF_INET6 SOCK_STREAM 0 -> s
        p: bind s "[::1]:0"
        p: listen s 0x5
        p: socket AF_INET6 SOCK_STREAM 0 -> c
        p: connect c "[::1]:0"
        p: accept s -> a
        p: send c "abc" * 3 MSG_NOSIGNAL
        p: recv a 16 0
        p: bind c "[::1]:0"
        p: socket AF_INET SOCK_DGRAM 0 -> post
        p: bind post "127.0.0.1:0"
        p: connect post "127.0.0.1:0"
        p: write post "to myself"
        p: read post 64
        p: socket AF_INET SOCK_DGRAM 0 -> d
        p: connect d "[::1]:0"
        p: socket AF_UNIX SOCK_STREAM 0 -> u
        p: connect u "[::1]:0"
        p: dup c -> c2
        p: connect c2 "[::1]:0"
        p: close c2
        p: close c
        p: read a 10
        p: socket AF_INET SOCK_DGRAM 0 -> box
        p: bind box "127.0.0.1:0"
        p: socket AF_INET SOCK_STREAM 0 -> door
        p: bind door "127.0.0.1:0"
        p: listen door 1
        p: socket AF_INET6 SOCK_DGRAM 0 -> note
        p: connect note "127.0.0.1:0"
        p: write note "by UDP"
        p: read box 9
        """,
    "threads": """
        p: pipe -> out in
        p: thread -> t
        t: signal SIGUSR1 HANDLER
        t: signal SIGUSR1 SIG_IGN
        t: signal SIGUSR1 SIG_DFL
        t: signal 99 SIG_DFL
        p: signal 99 SIG_DFL
        p: signal SIGKILL SIG_IGN
        t: fork -> c
        c: write in "from the thread's child"
        t: read out 64
        t: wait c WNOHANG
        t: exit 0
        t: read out 3
        """,
    "ends": """
        p: fork -> a
        p: fork -> b
        a: pipe -> out in
        a: read out 5 => blocks
        b: kill a SIGSTOP
        b: kill a SIGCONT
        b: kill a SIGTERM
        a: (read returns)
        p: wait
        p: fork -> c
        c: kill c SIGKILL
        p: waitpid c 0
        b: kill b SIGSTOP
        p: waitpid b WUNTRACED
        p: kill b SIGCONT
        b: exit 7
        p: wait b
        p: wait
        """,
    "the dead in their calls": """
        m: pipe -> r w
        m: fork -> p
        p: thread -> t
        p: thread -> u
        t: read r 4 => blocks
        u: poll r POLLIN -1 => blocks
        m: wait p => blocks
        p: kill p SIGTERM
        t: (read returns)
        u: (poll returns)
        m: (wait returns)
        m: fork -> q
        q: thread -> v
        v: read r 4 => blocks
        q: exit 3
        v: (read returns)
        m: wait
        m: fork -> a
        a: thread -> b
        a: close r
        m: close r
        b: write w "x"
        m: wait a
        """,
    "stopped and let go on": """
        m: pipe -> r w
        m: fork -> k
        k: kill k SIGSTOP => blocks
        m: waitpid k WUNTRACED
        m: kill k SIGCONT
        k: (kill returns)
        m: waitpid k WCONTINUED
        k: pidfd_open k 0 -> p
        k: pidfd_send_signal p SIGTSTP => blocks
        m: waitpid k WUNTRACED|WCONTINUED
        m: waitpid k WNOHANG|WUNTRACED
        m: kill k SIGCONT
        k: (pidfd_send_signal returns)
        k: read r 1 => blocks
        m: kill k SIGTTIN
        m: wait k WUNTRACED
        m: kill k SIGCONT
        m: write w "x"
        k: (read returns)
        k: kill k SIGSTOP
        m: kill k SIGKILL
        k: (kill returns)
        m: wait k
        """,
    "a parent that waits": """
        p: fork -> a
        p: wait a => blocks
        a: fork -> b
        b: fork -> d
        b: exit 1
        a: waitpid b 0
        d: exit 4
        a: exit 2
        p: (wait returns) => ok status=2
        p: wait
        """,
    "interrupted": """
        p: socketpair AF_UNIX SOCK_STREAM 0 -> a b
        p: setsockopt a SOL_SOCKET SO_RCVTIMEO x"0000000000000000 3075000000000000"
        p: read a 4 => EAGAIN
        p: recv a 4 MSG_TRUNC => EAGAIN
        p: recvmsg a iov=[3] => EAGAIN
        p: signal SIGUSR2 HANDLER
        p: fork -> c
        p: read b 4 => blocks
        c: kill p SIGUSR2
        c: write a "x"
        p: (read returns)
        p: setsockopt b SOL_SOCKET SO_RCVTIMEO x"0400000000000000 0000000000000000"
        p: read b 4 => blocks
        c: kill p SIGUSR2
        p: (read returns) => EINTR
        p: recvmsg b iov=[4] => blocks
        c: kill p SIGUSR2
        p: (recvmsg returns) => EINTR
        """,
    "beside the bytes": """
        p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b
        p: setsockopt b SOL_SOCKET SO_PASSCRED 1
        p: fork -> c
        c: sendmsg a iov=["me"] creds=[c UID GID]
        p: recvmsg b iov=[9]
        c: sendmsg a iov=["not me"] creds=[p 0 0]
        c: sendmsg a iov=["both"] fds=[a, b] creds=[c UID GID]
        p: recvmsg b iov=[9] control=52 -> x
        p: getsockopt b SOL_SOCKET SO_PEERCRED
        p: sendmsg a iov=["y"] fds=[b] creds=[p UID GID] cmsg_len=20
        p: sendmsg a iov=["y"] raw=x"" control=0
        p: sendmsg a iov=["y"] raw=x"00" control=64
        p: sendmsg a iov=["yy" * 20, x"00010203040506"] control=40
        p: sendmsg a iov=[] fds=[]
        p: recvmsg b iov=[4, 0, 4] flags=MSG_DONTWAIT
        p: recvmsg b iov=[4, 0, 4] flags=MSG_DONTWAIT control=1K
        p: setsockopt b SOL_SOCKET SO_PASSCRED 0
        p: setsockopt b SOL_SOCKET SO_PASSCRED "xy"
        p: setsockopt b SOL_SOCKET SO_PASSPIDFD 1
        p: sendmsg a iov=["pid"] fds=[a]
        p: recvmsg b iov=[9] -> one two
        p: setsockopt b SOL_SOCKET SO_PEEK_OFF 1
        p: getsockopt b SOL_SOCKET SO_PEEK_OFF
        """,
    "longer than what was copied": """
        p: socket AF_INET SOCK_STREAM 0 -> door
        p: bind door "127.0.0.1:0"
        p: listen door 1
        p: socket AF_INET SOCK_STREAM 0 -> line
        p: connect line "127.0.0.1:0"
        p: accept door -> guest
        p: write line "abcdefghijkl"
        p: recv guest 4 MSG_PEEK|MSG_TRUNC => 4
        p: recv guest 4 MSG_TRUNC => 4
        p: recvmsg guest iov=[1, 0, 2] flags=MSG_TRUNC => 3
        p: recvmsg guest iov=[2] flags=MSG_PEEK|MSG_TRUNC control=0 => 2
        p: recvmsg guest iov=[] flags=MSG_TRUNC => 0
        p: recv guest 2 0 => "hi"
        p: send line "!" MSG_OOB
        p: recv guest 16 MSG_TRUNC => 3
        p: recv guest 8 MSG_OOB|MSG_TRUNC => 1
        p: recv door 4 MSG_TRUNC
        p: recv 99 4 MSG_TRUNC
        p: recv 0 4 MSG_TRUNC
        p: recvmsg 0 iov=[4] flags=MSG_TRUNC
        p: recv guest 4 MSG_TRUNC|MSG_DONTWAIT => EAGAIN
        p: close line
        p: recv guest 4 MSG_TRUNC => ""
        p: recvmsg guest iov=[4] flags=MSG_TRUNC => ""
        p: socket AF_INET SOCK_DGRAM 0 -> post
        p: bind post "127.0.0.1:0"
        p: connect post "127.0.0.1:0"
        p: write post "a letter"
        p: recv post 0 MSG_PEEK|MSG_TRUNC => 8
        p: recvmsg post iov=[1, 0, 2] flags=MSG_PEEK|MSG_TRUNC => 8
        p: recv post 3 MSG_TRUNC => 8
        p: socketpair AF_UNIX SOCK_SEQPACKET 0 -> a b
        p: write a "message"
        p: recvmsg b iov=[] flags=MSG_PEEK|MSG_TRUNC => 7
        p: recv b 3 MSG_PEEK|MSG_TRUNC => 7
        p: recvmsg b iov=[0] flags=MSG_TRUNC => 7
        p: socketpair AF_UNIX SOCK_STREAM 0 -> c d
        p: send c "ab!" MSG_OOB
        p: recv d 1 MSG_TRUNC => "a"
        p: recv d 0 MSG_OOB|MSG_PEEK => 1
        p: recvmsg d iov=[0] flags=MSG_OOB|MSG_PEEK => 1
        p: recv d 0 MSG_OOB|MSG_TRUNC => 1
        """,
    "descriptors cut off": """
        p: socketpair AF_UNIX SOCK_DGRAM 0 -> a b
        p: memfd_create "m" 0 -> m
        p: sendmsg a iov=["1"] fds=[m, m, m]
        p: recvmsg b iov=[4] control=16
        p: sendmsg a iov=["1"] fds=[m, m, m]
        p: recvmsg b iov=[4] control=8
        p: sendmsg a iov=["1"] fds=[m, m, m]
        p: recvmsg b iov=[4] control=27 -> x
        p: sendmsg a iov=["1"] fds=[m, 77]
        p: sendmsg a iov=["1"] fds=[m, m, m]
        p: recvmsg b iov=[4] control=28 -> x y z w
        p: close y
        """,
    "nobody to take a step": """
        p: pipe -> out in
        p: fork -> c
        c: read out 1 => blocks
        p: write in "x"
        c: (recv returns)
        """,
    "a process that is stopped": """
        p: fork -> c
        p: kill c SIGSTOP
        c: pipe -> out in
        """,
    "a step that cannot be taken": """
        p: pipe -> out in
        p: read out 1
        p: read out 1
        """,
    "the return of a call that nobody made": """
        p: pipe -> out in
        p: (poll returns)
        """,
    "nothing to return": """
        p: pipe -> out in
        p: read out 1 => blocks
        p: (read returns)
        p: close out
        """,
    "numbers that have names": """
        p: socketpair AF_UNIX SOCK_SEQPACKET 0 -> a b
        p: getsockopt a SOL_SOCKET SO_TYPE
        p: getsockopt a SOL_SOCKET SO_DOMAIN
        p: getsockopt a SOL_SOCKET SO_PROTOCOL
        p: getsockopt a SOL_SOCKET SO_ERROR
        p: fcntl a F_GETFL
        p: fcntl a F_GETFD
        p: open "f" O_RDWR|O_CREAT|O_APPEND|O_SYNC|O_CLOEXEC|O_NOFOLLOW -> f
        p: fcntl f F_GETFL
        p: fcntl f F_GETFD
        p: fcntl f 0x100000003
        p: open "f" O_WRONLY|O_DSYNC|O_NOATIME -> dsync
        p: fcntl dsync F_GETFL
        p: close dsync
        p: open "f" 3 -> g
        p: fcntl g F_GETFL
        p: open "f" O_PATH -> h
        p: fcntl h F_GETFL
        p: memfd_create "m" 2 -> m
        p: fcntl m F_ADD_SEALS F_SEAL_GROW|F_SEAL_SHRINK
        p: fcntl m F_GET_SEALS
        p: memfd_create "n" 8 -> n
        p: fcntl n F_GET_SEALS
        p: fcntl -1 F_GETFL
        p: socket AF_INET SOCK_STREAM 0 -> t
        p: getsockopt t SOL_SOCKET SO_PROTOCOL
        p: getsockopt t SOL_SOCKET SO_DOMAIN
        p: socket AF_UNIX SOCK_STREAM 1 -> u
        p: getsockopt u SOL_SOCKET SO_PROTOCOL
        p: socketpair AF_UNIX SOCK_STREAM 0 -> x y
        p: write x "unread"
        p: close y
        p: getsockopt x SOL_SOCKET SO_ERROR
        p: getsockopt x SOL_SOCKET SO_ERROR
        p: fork -> c
        p: kill c 35
        p: wait
        p: fork -> d
        p: kill d SIGIO
        p: wait
        p: fork -> e
        p: kill e SIGRTMAX
        p: wait
        p: fork -> k
        p: thread -> kt
        p: pipe2 O_NONBLOCK|O_DIRECT -> r w
        p: fcntl w F_GETFL => 18433
        p: fcntl r F_SETFL O_ASYNC
        p: fcntl r F_GETFL
        p: eventfd 0 EFD_NONBLOCK -> n0
        p: fcntl n0 F_GETFL => 2050
        p: socket AF_INET6 SOCK_DGRAM 0 -> s6
        p: getsockopt s6 SOL_SOCKET SO_PROTOCOL => 0 value=IPPROTO_UDP
        p: getsockopt s6 SOL_SOCKET SO_DOMAIN => 0 value=10
        p: getsockopt s6 SOL_SOCKET SO_TYPE => 0 value=SOCK_DGRAM
        p: getsockopt 99 SOL_SOCKET SO_TYPE
        p: getsockopt 0 SOL_SOCKET SO_ERROR
        p: kill k 0
        p: kill p 36
        """,
    "numbers of every size": """
        p: socketpair 4294967297 0x100000001 0 -> a b
        p: lseek 5 9223372036854775807 SEEK_SET
        p: lseek 5 -9223372036854775808 SEEK_SET
        p: close -9223372036854775808
        p: write 5 "a" * 100000
        p: fcntl 5 F_SETFL -1
        p: open "f" O_CREAT|O_RDWR 0644 -> f
        p: pwrite f "z" 1K
        p: eventfd -1 0 -> e
        p: eventfd 0 0xffffffff
        p: memfd_create "" 0xffffffff
        p: poll e 0x7fff 4294967296
        p: shutdown 3 -1
        p: signal -1 SIG_IGN
        p: kill p -1
        p: recv 3 0 0
        p: exit -1
        """,
}
"""What the gallery has no use for."""

HOSTILE = (
    r'''
@title */ int main; /* ??/ ?? \ """ {} %n @SCRIPT@ // coding: utf-16 é \
@notice coding: rot13 /*/ *//* ???/ '\'' $(true) `true` @NAMES@ %s \
@notice STARS
@ask */'""\N{dash} ?\
system: socketpair AF_UNIX SOCK_SEQPACKET 0 -> int in
system: pipe -> errno si_pid
system: socketpair AF_UNIX SOCK_SEQPACKET 0 -> unix linux
system: memfd_create "%n*/\\\"??=é" 0 -> lambda
system: open "a '\"\\??\n%s;$(x) *@FIRST@ é\xff" O_RDWR|O_CREAT -> def
# */ ??/ """ @SCRIPT@ \
system: fork -> main # */ int x; /* ??/
system: write int EVERY => EVERY
main: read in 300 => EVERY
system: write int "??=??/??'??(??)??!??<??>??-?\"????/\01\x001*//*%s%n\xff\xfe é漢 {{x}} """
main: read in 300 => "*/"
system: send int "a\0b\"\\" * 4 0 => "*/??/" killed=SIGPIPE
main: recv in 100 0 => x"2a2f"
system: sendmsg int iov=["??/", "*/", x"00ff5c22", "\\"] fds=[lambda, def]
main: recvmsg in iov=[3, 2, 50] -> int_ in_ => "??/*/" fds=2
main: write in_ "\"\\\n"
main: pread in_ 9 0
main: close int_
system: bind unix "*'\"\\ ??\xff"
system: setsockopt unix SOL_SOCKET SO_RCVTIMEO "\"\\??/*/"
system: thread -> class
class: thread -> l_tmpnam
l_tmpnam: close si_pid
class: socketpair AF_UNIX SOCK_STREAM 0 -> fd text
class: write fd MANY
l_tmpnam: read text 20
'''.replace('é漢 {{x}} """', "é漢 {{x}} '''\"")
    .replace("EVERY", quoted(bytes(range(256))))
    .replace("STARS", "*/" * 60)
    .replace("MANY", quoted(b"?" * 9 + b"/"))
)
"""Texts that would leave a comment, a literal or a line, and names that mean something to C, to Python, to a header or
to the programs themselves."""


def account() -> pwd.struct_passwd:
    """Whom the lab's actors are, and so whom the programs must be run by."""
    return pwd.getpwnam(manager.USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def scenarios() -> dict[str, str]:
    found = {f"gallery: {name}": gallery.text(name) for name in gallery.names()}
    found |= {
        name: text.replace("UID", str(account().pw_uid))
        .replace("GID", str(account().pw_gid))
        .replace("NUMBER", str(os.getpid()))
        for name, text in MORE.items()
    }
    return found | {"hostile": HOSTILE}


SCENARIOS = scenarios()
every_scenario = pytest.mark.parametrize("name", SCENARIOS)


class Programs:
    """Every scenario as programs in one directory that anybody may enter, with another where they make their files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        self.scratch.chmod(0o1777)
        self.complaints: dict[str, str] = {}
        self._numbers = {name: str(number) for number, name in enumerate(SCENARIOS)}

    def add(self, name: str) -> None:
        """Writes the programs and compiles the one in C."""
        scenario = parse(SCENARIOS[name])
        self.path(name, ".py").write_text(exports.python(scenario))
        if shutil.which("gcc"):
            self.complaints[name] = self.compile(self.path(name), exports.c(scenario))

    def path(self, name: str, suffix: str = "") -> Path:
        return self.directory / (self._numbers.get(name, name) + suffix)

    def compile(self, path: Path, text: str) -> str:
        """Makes a program of the text; gives what the compiler says."""
        source = path.with_suffix(".c")
        source.write_text(text.replace('"/tmp/lab.XXXXXX"', f'"{self.scratch}/lab.XXXXXX"'))
        return subprocess.run([*COMPILE, "-o", path, source], capture_output=True, text=True).stderr

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """Starts a program as the user whom the lab's actors are."""
        become: dict[str, Any] = (
            {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        environment = os.environ | {"TMPDIR": str(self.scratch)}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd="/", **become
        )

    def lines(self, *command: str | Path) -> list[str]:
        """What a program prints. It complains of nothing and leaves no file."""
        with self.start(*command) as program:
            out, complaints = program.communicate()
        assert not complaints
        assert not list(self.scratch.iterdir())
        return out.splitlines()


PYTHON = (os.path.realpath(sys.executable), "-I", "-S")
"""Without the packages of the project: the programs need the standard library alone."""


@pytest.fixture(scope="module")
def programs(temporary_directory: Path) -> Iterator[Programs]:
    directory = Path(tempfile.mkdtemp(prefix="exports"))
    directory.chmod(0o755)
    made = Programs(directory)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(made.add, SCENARIOS))
    yield made
    shutil.rmtree(directory)


def played(text: str) -> dict[str, Any]:
    run: dict[str, Any] = plain(manager.run(parse(text)))
    return run


# ---- the programs


@pytest.mark.needs("gcc")
@every_scenario
def test_a_c_program_compiles_without_a_warning_and_prints_what_the_lab_observed(programs, name):
    assert programs.complaints[name] == ""
    seen = result_lines(typed(played(SCENARIOS[name])))
    with apart(parse(SCENARIOS[name])):  # the kernel counts descriptors in flight by user
        assert programs.lines(programs.path(name)) == seen


@every_scenario
def test_a_python_program_prints_what_the_lab_observed(programs, name):
    seen = result_lines(typed(played(SCENARIOS[name])))
    with apart(parse(SCENARIOS[name])):
        assert programs.lines(*PYTHON, programs.path(name, ".py")) == seen


ASKED = """
p: pipe2 O_NONBLOCK|O_CLOEXEC -> out in
p: fcntl out F_GETFL => 2048
p: fcntl out F_GETFD => 1
p: fcntl in F_GETFL => 2049
p: open "f" O_RDWR|O_CREAT|O_APPEND|O_SYNC -> f
p: fcntl f F_GETFL
p: fcntl f F_GETFD => 0
p: memfd_create "m" MFD_ALLOW_SEALING -> m
p: fcntl m F_GET_SEALS => 0
p: fcntl m F_ADD_SEALS F_SEAL_GROW|F_SEAL_WRITE
p: fcntl m F_GET_SEALS => 12
p: socketpair AF_UNIX SOCK_STREAM 0 -> a b
p: getsockopt a SOL_SOCKET SO_TYPE => 0 value=SOCK_STREAM
p: getsockopt a SOL_SOCKET SO_DOMAIN => 0 value=1
p: getsockopt a SOL_SOCKET SO_PROTOCOL => 0 value=0
p: write b "unread"
p: close a
p: getsockopt b SOL_SOCKET SO_ERROR => 0 value=ECONNRESET
p: getsockopt b SOL_SOCKET SO_ERROR => 0 value=0
p: socket AF_INET SOCK_STREAM 0 -> t
p: getsockopt t SOL_SOCKET SO_PROTOCOL => 0 value=6
p: fork -> c
p: kill c 36
p: wait => ok
"""
ANSWERS = [
    "2 p fcntl = O_RDONLY|O_NONBLOCK",
    "3 p fcntl = FD_CLOEXEC",
    "4 p fcntl = O_WRONLY|O_NONBLOCK",
    "6 p fcntl = O_RDWR|O_APPEND|O_SYNC|O_LARGEFILE",
    "7 p fcntl = 0",
    "9 p fcntl = 0",
    "11 p fcntl = F_SEAL_GROW|F_SEAL_WRITE",
    "13 p getsockopt = 0 value=SOCK_STREAM",
    "14 p getsockopt = 0 value=AF_UNIX",
    "15 p getsockopt = 0 value=0",
    "18 p getsockopt = 0 value=ECONNRESET",
    "19 p getsockopt = 0 value=0",
    "21 p getsockopt = 0 value=IPPROTO_TCP",
    "24 p wait = c killed=SIGRTMIN+2",
]
"""What is told of the steps of ASKED that ask for a number."""
SHORTENED = {
    "O_APPEND": "6 p fcntl = O_RDWR|O_SYNC|O_LARGEFILE|0x400",
    "O_SYNC": "6 p fcntl = O_RDWR|O_APPEND|O_DSYNC|O_LARGEFILE|0x100000",
    "F_SEAL_GROW": "11 p fcntl = F_SEAL_WRITE|0x4",
    "SOCK_STREAM": "13 p getsockopt = 0 value=1",
    "IPPROTO_TCP": "21 p getsockopt = 0 value=6",
}
"""A name that the tables may lack, and what is told then."""


def asked(lines: list[str]) -> list[str]:
    numbers = {line.split()[0] for line in ANSWERS}
    return [line for line in lines if line.split()[0] in numbers]


def asking(programs: Programs, language: str, without: str) -> tuple[str | Path, ...]:
    """The command of a program of ASKED whose tables lack a name."""
    text = exports.c(parse(ASKED)) if language == "c" else exports.python(parse(ASKED))
    row = rf'^\t\t{{ {without}, "{without}" }},\n' if language == "c" else rf'^    \("{without}", .*\),\n'
    shorter, rows = re.subn(row, "", text, flags=re.MULTILINE)
    assert not without or rows == 1
    if language == "c":
        assert programs.compile(programs.path("asks"), shorter) == ""
        return (programs.path("asks"),)
    programs.path("asks", ".py").write_text(shorter)
    return (*PYTHON, programs.path("asks", ".py"))


@contextlib.contextmanager
def lacking(name: str) -> Iterator[None]:
    """The lab's own tables without a name."""
    kind = next(kind for kind in named_numbers.KINDS if name in kind.names)
    names = kind.names
    object.__setattr__(kind, "names", tuple(other for other in names if other != name))
    try:
        yield
    finally:
        object.__setattr__(kind, "names", names)


def test_numbers_are_told_by_the_names_that_the_document_gives_them_and_expected_as_numbers():
    run = played(ASKED)
    assert run["verdict"] == "held", run["reason"]
    assert asked(result_lines(typed(run))) == ANSWERS
    told = exports.transcript(typed(run))
    for words in (
        "0x800 (flags O_RDONLY|O_NONBLOCK)",
        "SO_TYPE, [SOCK_STREAM]",
        "SO_DOMAIN, [AF_UNIX]",
        "SO_ERROR, [ECONNRESET]",
        "SO_PROTOCOL, [IPPROTO_TCP]",
        "WTERMSIG(s) == SIGRTMIN+2",
    ):
        assert words in told
    # Not every kernel makes a memfd that is sealed so.
    assert named_numbers.SEALS.told(0x21) == "F_SEAL_SEAL|F_SEAL_EXEC"


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("language", ["c", "python"])
def test_a_program_tells_numbers_by_the_same_names(programs, language):
    assert asked(programs.lines(*asking(programs, language, ""))) == ANSWERS


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("language", ["lab", "c", "python"])
@pytest.mark.parametrize("name", SHORTENED)
def test_what_has_no_name_stands_as_the_same_number_everywhere(programs, language, name):
    if language == "lab":
        run = played(ASKED)
        with lacking(name):
            lines = result_lines(typed(run))
    else:
        lines = programs.lines(*asking(programs, language, name))
    other = SHORTENED[name]
    assert asked(lines) == [other if line.split()[0] == other.split()[0] else line for line in ANSWERS]


def test_every_call_is_made_by_some_scenario_that_is_exported_here():
    assert {step.call for text in SCENARIOS.values() for step in parse(text).steps} == set(CALLS)


def test_no_line_holds_what_differs_from_run_to_run():
    for text in SCENARIOS.values():
        assert result_lines(typed(played(text))) == result_lines(typed(played(text)))


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("language", ["c", "python"])
def test_a_program_that_is_told_to_end_leaves_no_process_behind(programs, language):
    with programs.start(*waiting(programs, language)) as program:
        assert [program.stdout.readline() for _ in range(3)][-1] == "3 c read blocks\n"
        program.terminate()
        _, complaints = program.communicate()
    assert program.returncode == 1 and complaints == "interrupted\n"


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("language", ["c", "python"])
def test_a_program_ends_when_its_time_is_up(programs, language):
    with programs.start(*waiting(programs, language, ("alarm(10)", "alarm(1)"))) as program:
        _, complaints = program.communicate()
    assert program.returncode == 1 and complaints == "the time is up\n"


def waiting(programs: Programs, language: str, *changes: tuple[str, str]) -> tuple[str | Path, ...]:
    """The command of a program that would wait for a minute, with changes of its text."""
    scenario = parse("p: pipe -> a b\np: fork -> c\nc: read a 1 => blocks\np: poll a POLLIN 60000 => 0\n")
    text = exports.c(scenario) if language == "c" else exports.python(scenario)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    if language == "c":
        assert programs.compile(programs.path("waits"), text) == ""
        return (programs.path("waits"),)
    programs.path("waits", ".py").write_text(text)
    return (*PYTHON, programs.path("waits", ".py"))


# ---- texts and names


@pytest.mark.needs("gcc")
def test_every_text_is_the_same_text_in_c(programs):
    texts = hostile_texts()
    literal = sys.modules["pairscope.lab.exports.c_forms"].literal
    checks = "\n".join(f"\tput({literal(text)}, {len(text)});" for text in texts)
    put = (
        "static void put(const char *text, size_t length)\n"
        "{\n"
        "\twhile (length--)\n"
        '\t\tprintf("%02x", (unsigned char)*text++);\n'
        "\tputchar(10);\n"
        "}\n"
    )
    program = f"#include <stdio.h>\n\n{put}\nint main(void)\n{{\n{checks}\n}}\n"
    assert programs.compile(programs.path("texts"), program) == ""
    assert [bytes.fromhex(line) for line in programs.lines(programs.path("texts"))] == texts


def test_every_text_is_the_same_text_in_python():
    literal = sys.modules["pairscope.lab.exports.python"]._bytes
    for text in hostile_texts():
        assert ast.literal_eval(literal(text)) == text and literal(text).isprintable()


def hostile_texts() -> list[bytes]:
    """Random texts of what has a meaning, and of anything."""
    dice = random.Random(11)
    pieces = [
        b"?",
        b"/",
        b"*",
        b"\\",
        b'"',
        b"'",
        b"\0",
        b"7",
        b"x",
        b"%",
        b"=",
        b"\n",
        b"\xff",
        "é".encode(),
        b"{",
        b"a",
    ]
    return [b"".join(dice.choices(pieces, k=dice.randrange(20))) for _ in range(300)] + [
        dice.randbytes(40) for _ in range(50)
    ]


def test_no_comment_can_be_left():
    comment = sys.modules["pairscope.lab.exports.c_forms"].comment
    dice = random.Random(5)
    for _ in range(5000):
        said = comment("".join(dice.choices("*/?\\a ", k=dice.randrange(12))))
        assert not re.search(r"\*/|/\*|\?\?|\\\Z", said)


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("standard", ["c11", "gnu17"])
def test_no_header_gives_a_meaning_to_what_an_actor_or_a_descriptor_may_be_called(programs, standard):
    headers = sorted(
        {
            line
            for text in SCENARIOS.values()
            for line in exports.c(parse(text)).splitlines()
            if line.startswith("#include")
        }
    )
    source = programs.path("headers", ".c")
    source.write_text("#define _GNU_SOURCE\n" + "\n".join(headers) + "\n")
    told = subprocess.run(
        ["gcc", f"-std={standard}", "-O2", "-E", "-dD", source], capture_output=True, text=True, check=True
    ).stdout
    macros = set(re.findall(r"^#define ([a-z][a-z0-9_]{0,15})(?= |$)", told, re.MULTILINE))
    undone = set(re.findall(r"^#undef ([a-z][a-z0-9_]*)", told, re.MULTILINE))
    assert not {name for name in macros - undone if not sys.modules["pairscope.lab.exports.c_forms"].reserved(name)}
    declared = re.sub(r'"[^"\n]*"', "", "\n".join(line for line in told.splitlines() if not line.startswith("#")))
    assert not re.findall(r"\b[A-Z][a-z0-9_]{0,15}\b", declared)
    named = re.findall(r"^#define ([A-Z][a-z0-9_]{0,16})\b", told, re.MULTILINE)
    assert not [name for name in named if name == sys.modules["pairscope.lab.exports.c_forms"].actor_name(name.lower())]
    assert not re.findall(r"\b[a-z0-9_]+_(?:process|thread)\b *\(", declared)


# ---- the transcript


def named(run: dict[str, Any], text: str) -> list[str]:
    """The lines with the processes' names in place of their numbers, and one space where there are more."""
    tasks = {
        task["tid"]: task["name"]
        for step in run["steps"]
        for process in step["after"]["processes"]
        for task in process.get("threads", ())
    }
    return [
        re.sub(r"\b\d{2,}\b", lambda found: tasks.get(int(found[0]), found[0]), re.sub(" +", " ", line))
        for line in text.splitlines()
    ]


def test_a_transcript_tells_of_a_call_that_blocked_twice_and_of_the_end_of_a_process():
    run = played(gallery.text("parent-and-child"))
    assert named(run, exports.transcript(typed(run))) == [
        "[pid parent] socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0",
        "[pid parent] clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD) = child",
        "strace: Process child attached",
        "[pid parent] close(4) = 0",
        "[pid child] close(3) = 0",
        '[pid parent] write(3, "SOCKET PAIR TEST.", 17) = 17',
        '[pid child] read(4, "SOCKET PAIR TEST.", 128) = 17',
        "[pid child] read(4, <unfinished ...>",
        "[pid parent] close(3) = 0",
        '[pid child] <... read resumed>"", 128) = 0',
        "[pid child] exit_group(0) = ?",
        "[pid child] +++ exited with 0 +++",
        "[pid parent] --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=child, si_status=0} ---",
        "[pid parent] wait4(child, [{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = child",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "it-is-a-test",
            (
                'msg_iov=[{iov_base="it is", iov_len=5}, {iov_base=" a test", iov_len=7}], msg_iovlen=2, '
                "msg_controllen=0, msg_flags=0}, 0) = 12"
            ),
        ),
        (
            "a-file-handed-over",
            (
                "msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[4]}], "
                "msg_controllen=24, msg_flags=0}, 0) = 6"
            ),
        ),
        ("sigpipe", "--- SIGPIPE {si_signo=SIGPIPE, si_code=SI_USER, si_pid="),
        ("sigpipe", "+++ killed by SIGPIPE +++"),
        ("errors", "= -1 EFAULT (Bad address)"),
        ("errors", "<... poll resumed>)"),
        ("credentials", "cmsg_type=SCM_CREDENTIALS, cmsg_data={pid="),
        ("a-full-buffer", '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"..., 300000 <unfinished ...>'),
        ("scattered-and-cut", "msg_flags=MSG_CTRUNC}, 0)"),
    ],
)
def test_a_transcript_has_what_strace_would_have_printed(name, words):
    assert words in exports.transcript(typed(played(gallery.text(name))))


def test_a_transcript_tells_of_a_broken_pipe_only_where_one_broke():
    """The other threads of a process that SIGPIPE ends were in calls of their own, and one whom another sent it had
    broken none."""
    run = played(
        "m: pipe -> r w\n"
        "m: socketpair AF_UNIX SOCK_STREAM 0 -> a b\n"
        "m: fork -> p\n"
        "p: thread -> t\n"
        "p: close b\n"
        "m: close b\n"
        't: write w "x" * 100000 => blocks\n'
        'p: write a "x"\n'
        "m: fork -> q\n"
        'q: write w "x" => blocks\n'
        "m: kill q SIGPIPE\n"
        "m: fork -> k\n"
        "m: kill k SIGSTOP\n"
        "m: waitpid k WUNTRACED\n"
        "m: kill k SIGCONT\n"
        "m: waitpid k WCONTINUED\n"
    )
    told = exports.transcript(typed(run))
    assert told.count("EPIPE") == 1 and 'write(5, "x", 1)             = -1 EPIPE' in told
    assert told.count("<... write resumed>)         = ?") == 2
    assert (
        "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WUNTRACED" in told and "[{WIFCONTINUED(s)}], WCONTINUED" in told
    )


@every_scenario
def test_a_transcript_has_a_line_for_each_call_and_one_for_each_return(name):
    run = played(SCENARIOS[name])
    told = exports.transcript(typed(run))
    taken = [step for step in run["steps"] if step["result"]]
    calls = [line for line in told.splitlines() if re.match(r"(\[pid +\d+\] )?[a-z0-9_]+\(", line)]
    assert len(calls) == sum(not step["returned"] for step in taken)
    assert told.count(" resumed>") == sum(len(step["completed"]) for step in taken)
    assert told.isascii() and "\0" not in told


# ---- the file


@every_scenario
def test_a_run_comes_back_from_its_file_as_it_was(name):
    run = played(SCENARIOS[name])
    data = exports.json(typed(run))
    assert plain(exports.load(data)) == run
    assert exports.json(exports.load(data)) == data


@pytest.fixture(scope="module")
def run(temporary_directory: Path) -> dict[str, Any]:
    return played(gallery.text("a-file-handed-over"))


def test_a_file_is_the_same_bytes_whatever_the_order_of_the_runs_members(run):
    shuffled = json.loads(json.dumps(run), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(shuffled) != list(run) and exports.json(typed(shuffled)) == exports.json(typed(run))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is not a run"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `format`"),
        (b"\xff\xfe", "it is not a run"),
        (b'{"format": NaN}', "it is not a run"),
        (b"[" * 100_000, "it is not a run"),
        (b'{"format": 1, "x": ' + b"[" * 100_000, "it is not a run"),
        (b" " * (exports.LOAD_MAX + 1), "it is larger than"),
    ],
    ids=("nothing", "a list", "no member", "no text", "no number", "deep", "deep within", "large"),
)
def test_what_is_no_run_is_refused_in_words(data, words):
    with pytest.raises(exports.NoRun, match=re.escape(words)):
        exports.load(data)


def test_arguments_that_nest_without_end_are_refused(run):
    data = json.dumps(run).replace('"arguments": [3,', '"arguments": [' + "[" * 50_000 + "]" * 50_000 + ",", 1)
    assert len(data) > 100_000
    with pytest.raises(exports.NoRun):
        exports.load(data.encode())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 2, "$.format"),
        ("verdict", "fine", "$.verdict"),
        ("text", "p: pip\n", "its text is no scenario: 1:4"),
        ("text", "p: pipe -> a b\n", "about is not what its text says"),
        ("about", [["title"]], "$.about[0]"),
        ("steps.0", None, "$.steps[0]"),
        ("steps.0.actor", "child", "step 1 is not that of its scenario"),
        ("steps.0.extra", 1, "unknown field `extra` - at `$.steps[0]`"),
        ("steps.0.result.value", "0", "Expected `int | null`, got `str` - at `$.steps[0].result.value`"),
        ("steps.0.result.value", True, "Expected `int | null`, got `bool`"),
        ("steps.0.result.value", 1 << 63, "$.steps[0].result.value"),
        ("steps.0.result.made", None, "$.steps[0].result.made"),
        ("steps.0.result.made", "", "$.steps[0].result.made"),
        ("steps.8.result.data", "a", "step 9: data is not base64"),
        ("steps.8.result.message.control", "-", "step 9: data is not base64"),
        ("steps.8.arguments.0", 1.5, "step 9: an argument is a float"),
        ("steps.8.arguments.0", 1 << 64, "step 9: an argument is no number of 64 bits"),
        ("steps.8.arguments.0", [[[1]]], "step 9: an argument is a list"),
        ("steps.8.after.processes.0.pid", 1.5, "$.steps[8].after.processes[0].pid"),
        ("steps.8.after.objects.0.contents", [{"bytes": 1}], "missing required field `data`"),
        ("steps.8.completed", {"child": {}}, "missing required field"),
    ],
)
def test_what_is_not_of_a_runs_shape_is_refused_at_its_place(run, path, value, words):
    changed = copy.deepcopy(run)
    *way, key = [int(word) if word.isdigit() else word for word in path.split(".")]
    holder: Any = changed
    for member in way:
        holder = holder[member]
    holder[key] = value
    with pytest.raises(exports.NoRun, match=re.escape(words)):
        exports.load(json.dumps(changed).encode())


def test_a_step_that_lacks_what_its_call_gives_is_refused(run):
    changed = copy.deepcopy(run)
    del changed["steps"][0]["result"]["made"]
    with pytest.raises(exports.NoRun, match="its steps hold less than their calls give"):
        exports.load(json.dumps(changed).encode())


def test_a_file_that_somebody_has_changed_is_a_run_or_refused_and_nothing_else(run):
    dice = random.Random(3)
    refused = 0
    for _ in range(1500):
        changed = copy.deepcopy(run)
        for _ in range(dice.randrange(1, 3)):
            change(changed, dice)
        try:
            loaded = exports.load(json.dumps(changed).encode())
        except exports.NoRun as error:
            refused += 1
            assert str(error)
        else:
            assert (
                isinstance(result_lines(loaded), list)
                and isinstance(exports.transcript(loaded), str)
                and exports.json(loaded)
            )
    assert 500 < refused < 1500


VALUES: list[Any] = [
    None,
    True,
    -1,
    1 << 70,
    0.5,
    "",
    "x" * 5000,
    "\0",
    "é",
    [],
    {},
    [None],
    {"data": "", "times": 10**9},
    {"a": {"b": []}},
]
VALUES += ["NULL", base64.b64encode(bytes(12)).decode(), "child", "returned", 13, "EPIPE"]


def change(run: dict[str, Any], dice: random.Random) -> None:
    """Removes or replaces one value, somewhere."""
    holder: Any = {"run": run}
    key: Any = "run"
    while isinstance(holder[key], (dict, list)) and holder[key] and (holder[key] is run or dice.random() < 0.85):
        holder = holder[key]
        key = dice.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        if key in ("text", "about", "started", "kernel") and dice.random() < 0.9:
            key = "steps"
    if dice.random() < 0.2:
        del holder[key]
    else:
        holder[key] = dice.choice(VALUES)
    run.setdefault("steps", [])


@pytest.mark.parametrize("language", ["c", "py"])
def test_each_file_of_pieces_is_a_part_of_programs_and_names_only_pieces(language: str) -> None:
    module = {"c": c_program, "py": python_program}[language]
    assert module.__file__
    files = {path.stem for path in (Path(module.__file__).parent / "pieces").glob(f"*.{language}")}
    assert files == set(module.PIECES) | set(module.STAGE)
    lost = {name: need for name, each in module.PIECES.items() for need in each.needs if need not in module.PIECES}
    assert not lost, "what a piece needs is a piece"


def test_a_transcript_tells_what_the_kernel_was_asked_for_where_the_c_library_has_another_name() -> None:
    lines = exports.transcript(typed(played(MORE["what waits"]))).splitlines()
    told = [line for line in lines if line.startswith("ioctl(")]
    assert told[0] == f"{'ioctl(4, FIONREAD, [5])':<40} = 0"
    assert f"{'ioctl(-1, FIONREAD, ?)':<40} = -1 EBADF (Bad file descriptor)" in told
    assert told[-1] == f"{'ioctl(-1, TCGETS, ?)':<40} = ?", "isatty hides what the kernel answered"
