"""The scenario language: what is read is what was written, and every error stands at its place."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import re

import pytest

from pairscope.lab import absent, calls, constants, tables
from pairscope.lab.language import BYTES_MAX, STEPS_MAX, TEXT_MAX, format, parse, quoted
from pairscope.lab.model import Constants, Items, Name, Number, Position, Scenario, ScenarioError, Text

DOCUMENT = (pathlib.Path(__file__).parents[1] / "docs/lab.md").read_text()
PIPE = "p: pipe2 0 -> a b\n"


def documented() -> str:
    """The example of docs/lab.md."""
    example = DOCUMENT.split("## The language")[1].split("\n- ")[0]
    return "\n".join(line[4:] for line in example.splitlines())


def without_places(scenario: Scenario) -> Scenario:
    nowhere = Position(0, 0)
    return dataclasses.replace(
        scenario,
        steps=tuple(
            dataclasses.replace(
                step,
                place=nowhere,
                places=(),
                expectation=step.expectation and dataclasses.replace(step.expectation, place=nowhere),
            )
            for step in scenario.steps
        ),
    )


def test_the_documents_example_is_a_scenario_that_says_what_it_is():
    scenario = parse(documented())
    assert scenario.said("title") == "Parent writes, child reads"
    assert [step.call for step in scenario.steps] == [
        "socketpair",
        "fork",
        "close",
        "close",
        "write",
        "read",
        "read",
        "exit",
        "read",
    ]
    assert scenario.steps[0].binds == ("sv0", "sv1")
    assert scenario.steps[4].arguments == (Name("sv0"), Text(b"SOCKET PAIR TEST."))
    assert scenario.steps[4].expectation.first == Number(17, "17")
    assert scenario.steps[6].expectation.first == "blocks"
    assert scenario.steps[8].returned


def test_the_pending_return_may_be_told_in_more_words():
    short, long = (PIPE + f"p: ({words} returns)" for words in ("read", "the pending read"))
    assert parse(short).steps[1:] == parse(long).steps[1:]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("128", 128),
        ("0x10", 16),
        ("-1", -1),
        ("64K", 65536),
        ("1M", 1 << 20),
        ("1K", 1024),
        ("0x1K", 1024),
        ("0644", 0o644),
        ("-010", -8),
        ("010K", 8192),
        ("0", 0),
        ("00", 0),
        ("0xffffffffffffffff", (1 << 64) - 1),
        ("18446744073709551615", (1 << 64) - 1),
        ("01777777777777777777777", (1 << 64) - 1),
    ],
)
def test_a_number_keeps_its_value_and_how_it_was_written(text, value):
    assert parse(PIPE + f"p: ftruncate a {text}").steps[1].arguments[1] == Number(value, text)


@pytest.mark.parametrize(
    "data", [b"", b"it's", b'"\\', b"\0\n\t\r\a\b\f\v", bytes(range(256)), "größer 漢字".encode(), b"\xff\xfeA"]
)
def test_every_byte_survives_being_written_and_read(data):
    assert parse(PIPE + f"p: write b {quoted(data)}").steps[1].arguments[1].bytes == data


def test_texts_repeat_and_may_be_hexadecimal():
    step = parse(PIPE + 'p: sendmsg b iov=["ab" * 3, x"00 ff"]').steps[1]
    assert [value.bytes for value in step.named[0][1].values] == [b"ababab", b"\0\xff"]


def test_a_text_has_octal_escapes_as_c_has_them_and_is_written_so_that_it_is_read_the_same():
    step = parse(PIPE + r'p: write b "\101\0\377\08\1012"').steps[1]
    assert step.arguments[1].bytes == b"A\0\xff\x008A2"
    assert quoted(b"\x007") == r'"\x007"' and quoted(b"\0\0a") == r'"\0\0a"'


def test_other_names_of_the_same_numbers_are_taken_and_kept():
    text = (
        "p: socketpair AF_LOCAL SOCK_STREAM 0 -> a b\n"
        "p: socket PF_UNIX SOCK_STREAM 0 -> c\n"
        "p: socket PF_INET SOCK_STREAM IPPROTO_TCP -> d\n"
        "p: read a 1 => EWOULDBLOCK\n"
    )
    assert [step.arguments[0] for step in parse(text).steps[:3]] == [
        Constants(("AF_LOCAL",)),
        Constants(("PF_UNIX",)),
        Constants(("PF_INET",)),
    ]
    assert "IPPROTO_TCP" in format(parse(text)) and constants.decode("AF_", 1) == "AF_UNIX"


def test_every_call_that_is_said_to_be_absent_is_absent_and_its_stand_in_is_here():
    assert (
        not (absent.LINUX | absent.FUNCTIONS) & set(calls.CALLS)
        and not absent.LINUX & absent.FUNCTIONS
        and not set(absent.INSTEAD) & set(calls.CALLS)
    )
    for instead in absent.INSTEAD.values():
        assert instead.partition(",")[0].split(" or ")[0] in calls.CALLS, instead


def test_a_number_and_a_text_can_be_expected_together():
    step = parse(PIPE + 'p: recv a 4 MSG_TRUNC => 6 "abcd" killed=SIGPIPE').steps[1]
    assert (step.expectation.first, step.expectation.data) == (Number(6, "6"), Text(b"abcd"))
    assert format(parse(PIPE + 'p: read a 4 => 1   "a" * 1')).endswith('p: read a 4 => 1 "a"\n')


def test_a_constant_has_the_number_of_this_kernel():
    assert constants.number(Constants(("MSG_PEEK", "MSG_DONTWAIT"))) == 0x42
    assert constants.decode("MSG_", 0x42) == "MSG_PEEK|MSG_DONTWAIT"
    assert constants.errno_name(11) == "EAGAIN"
    assert constants.errno_name(12345) == "12345"


@pytest.mark.parametrize(
    ("prefix", "value", "shown"),
    [
        ("O_", 0o104002, "O_RDWR|O_NONBLOCK|O_LARGEFILE"),
        ("O_", 0, "O_RDONLY"),
        ("O_", 0o4010000, "O_SYNC"),
        ("SOCK_", 0o2000005, "SOCK_SEQPACKET|SOCK_CLOEXEC"),
        ("MSG_", 0x40000008, "MSG_CTRUNC|MSG_CMSG_CLOEXEC"),
        ("MSG_", 0, "0"),
        ("POLL", 0x8011, "POLLIN|POLLHUP|0x8000"),
        ("SIG", 17, "SIGCHLD"),
        ("AF_", 1, "AF_UNIX"),
    ],
)
def test_a_number_is_shown_by_the_names_that_c_would_use(prefix, value, shown):
    assert constants.decode(prefix, value) == shown


@pytest.mark.parametrize("name", sorted(constants.ERRNOS))
def test_an_errno_is_shown_by_a_name_that_is_read_as_the_same_number(name):
    assert constants.NUMBERS[constants.errno_name(constants.NUMBERS[name])] == constants.NUMBERS[name]


def test_a_child_inherits_names_and_keeps_its_own():
    text = PIPE + "p: fork -> c\nc: pipe2 0 -> d e\nc: close a\np: close a\n"
    assert len(parse(text).steps) == 5
    with pytest.raises(ScenarioError, match="^6:10: d; expected a descriptor of p: a, b$"):
        parse(text + "p: close d")


def test_threads_share_names():
    assert parse(PIPE + "p: thread -> t\nt: dup a -> c\np: close c").steps[-1].arguments == (Name("c"),)


# A line of every call, with what it may be given besides.
EVERY_CALL = """
p: socketpair AF_UNIX SOCK_STREAM|SOCK_CLOEXEC 0 -> a b
p: pipe2 O_NONBLOCK -> r w
p: pipe -> r2 w2
p: socket AF_INET SOCK_STREAM 0 -> s
p: bind s "127.0.0.1:0"
p: bind s "\\0name"
p: bind s "file.sock"
p: listen s 1
p: connect s "[::1]:8080" => ECONNREFUSED
p: accept s -> t => blocks
p: (accept returns) -> t
p: fork -> c
p: thread -> d
p: close 3
p: dup a -> e
p: dup2 a b
p: dup2 a 9 -> f
p: dup3 a b O_CLOEXEC
p: read a 10 5
p: read a BADPTR 10 => EFAULT
p: write b NULL 10 => EFAULT
p: write b "abc" 2 => 2
p: send b "x" MSG_NOSIGNAL
p: recv a 10 MSG_PEEK|MSG_DONTWAIT => EWOULDBLOCK
p: sendmsg b iov=["x"] fds=[a, 9] creds=[p 0 0] control=24 flags=0 raw=x"00" cmsg_len=8 bad_iov=BADPTR
p: recvmsg a iov=[4, 8] control=24 flags=MSG_PEEK bad_iov=NULL -> g h => "x" fds=2 flags=MSG_CTRUNC
p: shutdown a SHUT_WR
p: setsockopt a SOL_SOCKET SO_PASSCRED 1
p: setsockopt a SOL_SOCKET SO_RCVTIMEO x"00"
p: getsockopt a SOL_SOCKET SO_PEERCRED => value=[p, 0, 0]
p: fcntl a F_ADD_SEALS F_SEAL_WRITE|F_SEAL_GROW => EINVAL
p: fcntl a F_GETFD => 0
p: ioctl a FIONREAD => 0 value=3
p: isatty a => 0
p: fcntl a F_DUPFD 10 -> u => 10
p: open "f" O_RDWR|O_CREAT 0x180 -> i
p: memfd_create "m" MFD_ALLOW_SEALING -> m
p: ftruncate m 4K
p: lseek m -1 SEEK_END
p: pread m 10 0
p: pwrite m "x" 0
p: eventfd 1 EFD_SEMAPHORE -> n
p: poll a POLLIN 0 => 0
p: poll [a, b] POLLIN|POLLOUT 100 => 2 revents=[POLLOUT, POLLIN|POLLHUP]
p: poll [a, b] [POLLIN, POLLOUT] -1
p: pidfd_open c 0 -> o
p: pidfd_send_signal o SIGTERM
p: signal SIGPIPE SIG_IGN
p: signal SIGUSR1 HANDLER
p: kill c SIGKILL
p: waitpid c WNOHANG => killed=SIGKILL
p: waitpid -1 0
p: wait
p: wait c WNOHANG => status=0
p: exit 0
"""


def test_every_call_of_the_table_is_read_and_written_with_all_it_may_be_given():
    scenario = parse(EVERY_CALL)
    assert {step.call for step in scenario.steps} == set(calls.CALLS)
    for call in calls.CALLS.values():
        steps = [step for step in scenario.steps if step.call == call.name]
        assert max(len(step.arguments) for step in steps) == len(call.arguments)
        assert {name for step in steps for name, _ in step.named} == {argument.name for argument in call.named}
    assert without_places(parse(format(scenario))) == without_places(scenario)


def test_a_list_may_stand_for_one_descriptor_only_where_the_call_takes_several():
    assert parse(PIPE + "p: poll [a b] POLLIN 0").steps[1].arguments[0] == Items((Name("a"), Name("b")))
    with pytest.raises(ScenarioError, match="^2:10: .*fd of close: a descriptor's name"):
        parse(PIPE + "p: close [a b]")


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1:80",
        "0.0.0.0:80",
        "localhost:80",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "[::1]:99999",
        "[::]:80",
        "/tmp/s",
        "..",
        "",
        "a:b",
    ],
)
def test_no_address_but_the_scratch_directorys_and_the_loopbacks_is_read(address):
    with pytest.raises(ScenarioError, match="^2:11: .*address of bind"):
        parse(f'p: socket AF_INET SOCK_STREAM 0 -> s\np: bind s "{address}"')


@pytest.mark.parametrize("name", ["/etc/passwd", "../f", "..", ".", "", "a/b", r"a\0b"])
def test_no_file_outside_the_scratch_directory_is_named(name):
    with pytest.raises(ScenarioError, match="^1:9: .*name of open"):
        parse(f'p: open "{name}" 0 -> f')


MALFORMED = [
    ("", 1, 1, "no step", "at least one"),
    ("@titel x", 1, 1, "@titel", "@title"),
    ("@title", 1, 1, "@title without a text", "a sentence"),
    ("@title a\n@title b", 2, 1, "a second @title", "at most one"),
    ("p", 1, 2, "the end of the line", ":"),
    ("p:", 1, 3, "the end of the line", "a system call"),
    ("P: exit 0", 1, 1, "P", "the name of a process"),
    ("averyveryverylongname: exit 0", 1, 1, "averyveryverylongname", "at most 16"),
    ("p: raed a 1", 1, 4, "raed", "such as read"),
    ("p: pipe2 0 -> a", 1, 16, "the end of the line", "two names"),
    ("p: pipe2 0 -> a a", 1, 17, "a", "another name"),
    ("p: fork", 1, 8, "the end of the line", "-> and a name"),
    ("p: exit 0 -> a", 1, 11, "->", "no name"),
    ("p: exit", 1, 8, "the end of the line", "exit status"),
    ("p: exit 0 1", 1, 11, "1", "exit status"),
    ('p: exit "x"', 1, 9, '"x"', "a number or constants"),
    ("p: pipe2 O_CLOSEXEC -> a b", 1, 10, "O_CLOSEXEC", "O_CLOEXEC"),
    ("p: pipe2 O_CLOEXEC| -> a b", 1, 21, "->", "a constant"),
    ("p: close a", 1, 10, "a", "named none yet"),
    (PIPE + "q: close a", 2, 1, "q", "processes so far: p"),
    (PIPE + "p: kill q SIGTERM", 2, 9, "q", "a process: p"),
    (PIPE + 'p: write b "x', 2, 12, "a quote that is not closed", "double quotes"),
    (PIPE + r'p: write b "a\q"', 2, 14, r"\q", r"\n"),
    (PIPE + r'p: write b "\x0g"', 2, 13, r"\x0g", "two hexadecimal digits"),
    (PIPE + 'p: write b "\x07"', 2, 13, "the character", "printable"),
    (PIPE + 'p: write b x"0"', 2, 12, 'x"0"', "pairs"),
    (PIPE + 'p: write b "x" * 0', 2, 18, "0", "from 1"),
    (PIPE + f'p: write b "xx" * {BYTES_MAX}', 2, 12, f"{2 * BYTES_MAX} bytes", f"at most {BYTES_MAX}"),
    (PIPE + "p: read a 99999999999999999999", 2, 11, "99999999999999999999", "64 bits"),
    (PIPE + "p: read a 12x", 2, 11, "the character '1'", "a number"),
    (PIPE + "p: read a 18446744073709551616", 2, 11, "18446744073709551616", "0xffffffffffffffff"),
    (PIPE + "p: read a -9223372036854775809", 2, 11, "-9223372036854775809", "64 bits"),
    (PIPE + "p: read a 08", 2, 11, "08", "octal, as in C"),
    (PIPE + r'p: write b "\400"', 2, 13, r"\400", r"\377"),
    ("p: epoll_wait 3 0", 1, 4, "epoll_wait, a system call that the lab does not have", "poll, which is here"),
    ("p: mmap 0 0", 1, 4, "mmap, a system call that the lab does not have", "one of those that are here: socketpair"),
    ("p: _exit 0", 1, 4, "_exit, a function of the C library", "exit, which is here"),
    ("p: printf 0", 1, 4, "printf, a function of the C library", "one of those that are here"),
    (PIPE + "p: read a 10 => -1 errno=EAGAIN", 2, 17, "-1 errno", "as in: => EAGAIN"),
    ("p: frobnicate 0", 1, 4, "frobnicate", "a system call"),
    ("p: READ 3 1", 1, 4, "READ", "such as read"),
    ("Me: pipe -> a b", 1, 1, "Me", "such as me"),
    ("parent-1: exit 0", 1, 7, "-1", "lower-case letters"),
    ("me pipe -> a b", 1, 4, "pipe", "as in: me: pipe"),
    ("read 3 1", 1, 1, "read", "as in: p: read"),
    (PIPE + "p: read(a, 10)", 2, 8, "(", "as in: read a 10"),
    (PIPE + "p: fcntl(a, F_SETFL, O_NONBLOCK|O_APPEND);", 2, 42, "the character ';'", "ends with its line"),
    (PIPE + "p: fcntl(a, F_SETFL, O_NONBLOCK|O_APPEND) = 0", 2, 9, "(", "as in: fcntl a F_SETFL O_NONBLOCK|O_APPEND"),
    (PIPE + "p: read a, 10", 2, 10, ",", "no comma"),
    (PIPE + "p: c = dup a", 2, 4, "c", "-> and the names"),
    (PIPE + "p: dup a -> C", 2, 13, "C", "such as c"),
    ("p: pipe -> a, b", 1, 13, ",", "as in: -> sv0 sv1"),
    (PIPE + "p: read a 10 => -1 EAGAIN", 2, 17, "-1 EAGAIN", "as in: => EAGAIN"),
    (PIPE + "p: read a 10 => -EAGAIN", 2, 17, "the character '-'", "as in: => EAGAIN"),
    (PIPE + "p: read a 10 => EOF", 2, 17, "EOF", 'as in: => ""'),
    (PIPE + 'p: write b "x" => SIGPIPE', 2, 19, "SIGPIPE", "as in: => killed=SIGPIPE"),
    (PIPE + "p: poll a POLLIN 0 => POLLIN", 2, 23, "POLLIN", "as in: => revents=POLLIN"),
    (PIPE + "p: recvmsg a iov=[1] => MSG_TRUNC", 2, 25, "MSG_TRUNC", "as in: => flags=MSG_TRUNC"),
    (PIPE + "p: read a 10 => 'x'", 2, 17, """the character "'\"""", "double quotes"),
    (PIPE + "p: read a 10 => hello", 2, 17, "hello", "a text stands in double quotes"),
    (PIPE + "p: read A 10", 2, 9, "A", "lower-case"),
    (PIPE + 'p: sendmsg b iov=["x"', 2, 22, "the end of the line", "] at the end"),
    (PIPE + 'p: sendmsg b iov=[["x"]]', 2, 19, "[", "a number"),
    (PIPE + 'p: sendmsg b iov=["x"] fds=[z]', 2, 29, "z", "a descriptor of p: a, b"),
    (PIPE + "p: sendmsg b fds=[a]", 2, 21, "the end of the line", "iov="),
    (PIPE + 'p: sendmsg b iov=["x"] iov=["y"]', 2, 24, "iov", "once"),
    (PIPE + 'p: sendmsg b iof=["x"]', 2, 14, "iof", "iov"),
    (PIPE + "p: close a b=1", 2, 12, "b", "close has none"),
    (PIPE + "p: read a 1 =>", 2, 15, "the end of the line", "what is expected"),
    (PIPE + "p: read a 1 => MSG_PEEK", 2, 16, "MSG_PEEK", "errno"),
    (PIPE + "p: read a 1 => soon", 2, 16, "soon", "blocks, ok"),
    (PIPE + "p: (close returns)", 2, 5, "close, which never blocks", "read"),
    (PIPE + "p: read a 1 ; close a", 2, 13, "the character ';'", "a name"),
    (PIPE + "p: fork -> p", 2, 12, "a second process p", "another name"),
    (PIPE + "# \0", 2, 3, r"the character '\x00'", "printable"),
    (PIPE + "\r", 2, 1, r"the character '\r'", "printable"),
    (PIPE + "p: close\x1b a", 2, 9, r"the character '\x1b'", "printable"),
    ("#" * (TEXT_MAX + 1), 1, 1, f"{TEXT_MAX + 1} characters", f"at most {TEXT_MAX}"),
    (PIPE + "p: read a HANDLER", 2, 11, "HANDLER", "NULL or BADPTR"),
    (PIPE + "p: read a BADPTR", 2, 17, "the end of the line", "count"),
    (PIPE + "p: read a 10 11", 2, 14, "11", "at most 10"),
    (PIPE + 'p: write b "abc" 4', 2, 18, "4", "at most 3"),
    (PIPE + 'p: read a "x"', 2, 11, '"x"', "a number of bytes"),
    (PIPE + "p: write b 1", 2, 12, "1", "a text"),
    (PIPE + "p: read a 2M", 2, 11, "2M", "at most 1M"),
    (PIPE + "p: exit BADPTR", 2, 9, "BADPTR", "a number or constants"),
    (PIPE + "p: signal SIGPIPE 1", 2, 19, "1", "SIG_IGN"),
    (PIPE + "p: sendmsg b iov=[1]", 2, 19, "1", "a text"),
    (PIPE + 'p: sendmsg b iov=["x"] creds=[p 0]', 2, 30, "2 values", "three"),
    (PIPE + 'p: sendmsg b iov=["x"] creds=[q 0 0]', 2, 31, "q", "a process: p"),
    (PIPE + 'p: sendmsg b iov=["x"] bad_iov=1', 2, 32, "1", "NULL or BADPTR"),
    (PIPE + 'p: sendmsg b iov=["x" * 1M, "y"]', 2, 18, f"{BYTES_MAX + 1} bytes", f"at most {BYTES_MAX}"),
    (PIPE + "p: recvmsg a iov=[1M 1]", 2, 18, f"{BYTES_MAX + 1} bytes", f"at most {BYTES_MAX}"),
    (PIPE + "p: poll [a b] [POLLIN] 0", 2, 15, "1 events", "2: one for each"),
    (PIPE + "p: read a 1 => EFD_NONBLOCK", 2, 16, "EFD_NONBLOCK", "errno"),
    (PIPE + "p: read a 1 => [1]", 2, 16, "[", "errno"),
    (PIPE + "p: wait => killed=SIG_IGN", 2, 19, "SIG_IGN", "a signal"),
    (PIPE + "p: wait => status=a", 2, 19, "a", "a number"),
    (PIPE + "p: close a => status=0", 2, 15, "status", "killed= for close"),
    (PIPE + "p: read a 1 => revents=POLLIN", 2, 16, "revents", "killed=, value= for read"),
    (PIPE + "p: recvmsg a iov=[1] => creds=[]", 2, 31, "0 values", "one to four"),
    (PIPE + "p: fcntl a F_GETFD -> c", 2, 20, "->", "but for F_DUPFD and F_DUPFD_CLOEXEC"),
    (PIPE + "p: poll [a] * 1025 POLLIN 0", 2, 15, "1025", "from 1 to 1024"),
    (PIPE + "p: poll [a, b] * 513 POLLIN 0", 2, 18, "513", "from 1 to 512"),
    (PIPE + "p: poll [a] * a POLLIN 0", 2, 15, "a", "how often the list"),
    (PIPE + "p: close a # \u2028", 2, 14, "the character", "printable"),
    ("p: socket AF_PACKET SOCK_RAW 0 -> s", 1, 11, "AF_PACKET", "one of AF_UNIX, AF_INET, AF_INET6"),
    ("p: socket AF_INET SOCK_STREAM 132 -> s", 1, 31, "132", "0, 6 (TCP) or 17 (UDP)"),
    (PIPE + "p: setsockopt a SOL_SOCKET 26 1", 2, 28, "26", "an option by its name"),
    (PIPE + "p: setsockopt a SOL_TCP 1 1", 2, 17, "SOL_TCP", "SOL_SOCKET"),
    (PIPE + "p: fcntl a F_SETOWN 1", 2, 12, "F_SETOWN", "one of F_DUPFD"),
    (PIPE + "p: wait => status=0 status=0", 2, 21, "status", "once"),
    ("p: pipe2 0 -> a b\n" * (STEPS_MAX + 1), STEPS_MAX + 1, 1, f"step {STEPS_MAX + 1}", "at most"),
    ("".join(f"p: fork -> c{i}\n" for i in range(8)), 8, 12, "process 9", "at most 8"),
]


@pytest.mark.parametrize(("text", "line", "column", "found", "expected"), MALFORMED)
def test_an_error_says_where_it_is_and_what_was_found_and_expected(text, line, column, found, expected):
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert (caught.value.place.line, caught.value.place.column) == (line, column), str(caught.value)
    assert found in caught.value.found
    assert expected in caught.value.expected


def test_the_canonical_form_reads_as_the_same_scenario_and_is_its_own_canonical_form():
    for text in (documented(), PIPE + 'p:   sendmsg b iov=["a" ,"b"*2 x"0a"] flags=MSG_EOR|MSG_NOSIGNAL=>3 # why'):
        scenario = parse(text)
        canonical = format(scenario)
        again = parse(canonical)
        assert format(again) == canonical
        assert without_places(again) == without_places(scenario)


COMMENTED = """\
# of the whole
@title A title
# of the question
@ask   What?
   #of the steps, closely
p:   pipe2 0 ->  a b    # made here
## two marks
p: close a   #
p: close 3 => EBADF # of a "quoted" thing

# the last word
"""


def test_comments_stay_where_they_stood():
    canonical = format(parse(COMMENTED))
    assert (
        canonical
        == """\
# of the whole
@title A title
# of the question
@ask What?

#of the steps, closely
p: pipe2 0 -> a b  # made here
## two marks
p: close a  #
p: close 3 => EBADF  # of a "quoted" thing
# the last word
"""
    )
    assert format(parse(canonical)) == canonical
    assert parse(canonical).comments == parse(COMMENTED).comments


def test_what_was_said_last_comes_first_and_its_comment_goes_with_it():
    assert format(parse("# 1\np: pipe\n# 2\n@title A title\n# 3\n")) == "# 1\n@title A title\n\np: pipe\n# 2\n# 3\n"


def test_a_list_may_be_repeated_and_is_written_so():
    step = parse(PIPE + 'p: sendmsg b iov=["x", "y"] * 2 fds=[a] * 253').steps[1]
    assert [len(value.values) for _, value in step.named] == [4, 253]
    assert format(parse(PIPE + "p: poll [a, a, a, a, a] POLLIN 0")).endswith("poll [a] * 5 POLLIN 0\n")


def test_a_duplicate_may_be_named_where_fcntl_makes_one():
    assert parse(PIPE + "p: fcntl a F_DUPFD_CLOEXEC 10 -> c\np: close c").steps[1].binds == ("c",)
    assert parse(PIPE + "p: fcntl a 0 10 -> c\np: close c").steps[1].binds == ("c",)


def test_ten_thousand_malformed_texts_give_a_scenario_or_an_error_that_lies_within_the_text():
    rng = random.Random(2718)
    sources = (documented(), EVERY_CALL)
    source = "".join(sources)
    pieces = [
        *re.findall(r"\w+|\W", source),
        "=>",
        "->",
        "[",
        "]",
        '"',
        "\\",
        "|",
        "\x00",
        "é",
        "\u2028",
        "\x0c",
        "-",
        "0x",
        "9" * 5000,
        "@",
        "#",
    ]
    for turn in range(10_000):
        text = sources[turn % 2]
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice(pieces) + text[at + rng.choice((0, 0, 1, 3, 12)) :]
        lines = text.split("\n")
        try:
            scenario = parse(text)
        except ScenarioError as error:
            assert 1 <= error.place.line <= len(lines)
            assert 1 <= error.place.column <= len(lines[error.place.line - 1]) + 1
            assert error.found and error.expected
        else:
            assert without_places(parse(format(scenario))) == without_places(scenario)


def test_the_documents_table_of_calls_is_the_table():
    assert tables.fill(DOCUMENT) == DOCUMENT, "run: python -m pairscope.lab.tables docs/lab.md"
