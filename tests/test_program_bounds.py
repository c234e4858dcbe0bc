"""What ends a program that does not end by itself, or takes too much; and that nothing of it remains. docs/programs.md,
"Bounds"."""

from __future__ import annotations

import pytest

from pairscope.program.sentences import Bound, Unrun
from pairscope.trace.sentences import Over
from tests.boxed import USERS, Boxed, boxed, compiled, process

pytestmark = [process, compiled]

HEAD = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
"""


def main(body: str, before: str = "") -> str:
    return f"{HEAD}{before}\nint main(void)\n{{\n{body}\n}}\n"


def fault(run: Boxed) -> str:
    return str(run.index.ended if run.unran is None else run.unran.error)


@pytest.mark.parametrize("user", USERS)
def test_a_fork_bomb_is_ended_at_the_bound_of_processes(user: str) -> None:
    run = boxed(main("for (;;) fork();"), user=user)
    assert run.index.ended == Over.PROCESSES.say(processes=64)
    assert len(run.index.processes) == 65


@pytest.mark.parametrize("user", USERS)
def test_a_bomb_of_threads_gets_no_more_than_the_kernel_gives_a_box(user: str) -> None:
    body = """
        int many = 0;
        pthread_t one;
        while (!pthread_create(&one, NULL, waits, NULL))
            many++;
        printf("%d", many);"""
    run = boxed(main(body, "static void *waits(void *x) { pause(); return x; }"), user=user)
    assert 60 < int(run.out) < 96


@pytest.mark.parametrize(
    "body",
    [
        "for (;;) memset(malloc(1 << 20), 1, 1 << 20);",
        "for (int i = 0; i < 6; i++) if (!fork()) { memset(malloc(50 << 20), 1, 50 << 20); pause(); } pause();",
        """
        static char some[1 << 20];
        for (;;)
            for (int i = 0, fd = memfd_create("m", 0); i < 8; i++)
                if (write(fd, some, sizeof some) < 0) pause();""",
        "for (;;) { char *at = shmat(shmget(IPC_PRIVATE, 8 << 20, 0600), 0, 0); memset(at, 1, 8 << 20); shmdt(at); }",
    ],
    ids=["of one process", "of many processes together", "of memfds that nobody maps", "of System V"],
)  # fmt: skip
def test_an_allocation_of_everything_is_ended_at_the_bound_of_memory(body: str) -> None:
    assert fault(boxed(main(body), memory=128 << 20)) == Bound.MEMORY.say(most=128 << 20)


def test_memory_that_processes_share_is_counted_once() -> None:
    body = """
        char *all = malloc(50 << 20);
        memset(all, 1, 50 << 20);
        for (int i = 0; i < 5; i++)
            if (!fork()) { usleep(300000); _exit(all[i] != 1); }
        int failed = 0, status;
        while (wait(&status) > 0) failed += status != 0;
        printf("%d", failed);"""
    run = boxed(main(body), memory=128 << 20)
    assert (run.index.ended, run.out) == (Over.LAST, "0")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_without_end_is_ended_and_what_came_before_stands(stream: str) -> None:
    run = boxed(main(f'for (;;) fputs("0123456789abcde\\n", {stream});'))
    assert run.index.ended == Bound.OUTPUT.say(most=65536)
    told = run.index.program
    assert (told.output if stream == "stdout" else told.errors) == "0123456789abcde\n" * 4096


@pytest.mark.parametrize(
    "body",
    ["for (;;);", "for (int i = 0; i < 3; i++) fork(); for (;;);", "signal(SIGXCPU, SIG_IGN); for (;;) getppid();"],
    ids=["alone", "many", "in calls that are no steps"],
)
def test_a_loop_without_a_step_is_ended_at_the_bound_of_processor_time(body: str) -> None:
    assert fault(boxed(main(body), processor=0.2)) == Bound.PROCESSOR.say(seconds="0.2")


def test_a_program_that_makes_steps_without_end_is_ended_at_their_bound() -> None:
    body = """
        int p[2];
        char c = 1;
        for (int failed = pipe(p); !failed;)
            failed = write(p[1], &c, 1) != read(p[0], &c, 1);"""
    run = boxed(main(body), steps=500)
    assert (run.index.ended, len(run.steps)) == (Over.STEPS.say(steps=500), 500)


NEVER_ENDS = {
    "closes everything": "for (int fd = 0; fd < 1024; fd++) close(fd); for (;;) pause();",
    "ignores every signal": "for (int n = 1; n < 65; n++) signal(n, SIG_IGN); for (;;) pause();",
    "stops itself": "for (;;) raise(SIGSTOP);",
    "stops its child": "pid_t one = fork(); if (!one) for (;;) pause(); kill(one, SIGSTOP); for (;;) pause();",
    "leaves its session": "if (fork()) _exit(0); setsid(); if (fork()) _exit(0); for (;;) pause();",
    "waits for itself": "int p[2]; char c; if (pipe(p)) return 1; return read(p[0], &c, 1);",
    "waits for a vfork": "if (!vfork()) pause(); return 0;",
}
SELDOM = ("stops its child", "leaves its session", "waits for itself")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name, marks=pytest.mark.long if name in SELDOM else ())
        for name, body in NEVER_ENDS.items()
    ],
)
def test_who_never_ends_and_does_nothing_is_ended_when_it_has_done_nothing_for_long(body: str) -> None:
    run = boxed(main(body), quiet=0.5)
    assert run.index.ended == Bound.QUIET.say(seconds="0.5")
    assert any("was ended with" in sentence or "were ended with" in sentence for sentence in run.index.missing)


def test_who_never_ends_and_does_little_is_ended_by_the_clock() -> None:
    run = boxed(main("for (;;) { usleep(100000); dup(1); close(3); }"), clock=1)
    assert run.index.ended == Over.SECONDS.say(seconds="1")


def test_a_full_root_stops_neither_recorder_nor_recording() -> None:
    body = """
        static char some[1 << 20];
        long all = 0, got = 0;
        for (int i = 0; i < 20; i++) {
            char name[] = "a";
            name[0] += i;
            int fd = open(name, O_CREAT | O_WRONLY, 0600);
            while ((got = write(fd, some, sizeof some)) > 0 && (all += got) % (8 << 20));
            if (got < 0) break;
        }
        printf("%s %ld", strerror(errno), all >> 20);
        fflush(stdout);
        int p[2], random = open("/dev/urandom", O_RDONLY), failed = pipe(p);
        for (int i = 0; i < 20 && !failed; i++)  /* more than a page of the recording */
            failed = read(random, some, 4096) != 4096 || write(p[1], some, 4096) != read(p[0], some, 4096);
        return failed;"""
    run = boxed(main(body))
    assert (run.index.ended, run.index.processes[0].status) == (Over.LAST, 0)
    assert run.out in ("No space left on device 63", "No space left on device 64")


def test_a_compiler_that_does_not_come_to_an_end_is_ended_with_all_that_it_has_started() -> None:
    run = boxed("#if __INCLUDE_LEVEL__ < 60\n#include __FILE__\n#include __FILE__\n#endif\n", compiling=0.5)
    assert fault(run) == Unrun.COMPILER_LATE.say(seconds="0.5")


def test_a_program_too_large_for_the_box_is_not_made() -> None:
    run = boxed("char all[1 << 28] = {1};\nint main(void) { return all[1]; }\n")
    assert fault(run) == Unrun.NOT_COMPILED
