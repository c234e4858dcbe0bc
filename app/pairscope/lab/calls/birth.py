"""Who comes: fork, thread. The actor makes these itself."""

from __future__ import annotations

from pairscope.lab.calls.call import (
    Actor,
    Allowed,
    Call,
    CProgram,
    PythonProgram,
    Returned,
    Traced,
    Turn,
    Words,
    made_by_its_actor,
    numbered,
    plain_line,
)
from pairscope.lab.calls.decoding import gives_nothing, in_registers

_NEW_NAMESPACES = 0x7E02_0000
"""Of clone's flags, linux/sched.h. CLONE_NEWTIME is a flag of clone3 alone."""
_CLONE = (Allowed("clone", ((0, _NEW_NAMESPACES, 0),), "without a namespace of its own; clone3 does not exist for it"),)


class Fork(Call):
    name = "fork"
    takes = ""
    binds = "process"
    manual = "fork(2)"
    summary = "a child with copies of all descriptors"
    kernel = numbered("clone", 56, 220)
    blocks = False
    seccomp = _CLONE
    declares = "pid_t pid;"
    make = made_by_its_actor
    by_registers, by_arguments = in_registers()
    gave = gives_nothing

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        child = turn.step.binds[0]
        told = program.told("tell_birth", program.actor(child), "pid")
        return ["pid = fork();", "if (pid == 0)", f"\t{child}_process();", told]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        name = turn.step.binds[0]
        return [
            "pid = os.fork()",
            "if pid == 0:",
            f'    act("{name}", {name}_process)',
            f'tell({program.use("born")}("{name}", pid))',
        ]

    def line(self, returned: Returned) -> str:
        return returned.process()

    def meaning(self, returned: Returned) -> str:
        return returned.names.get(returned.value, "")

    def strace(self, traced: Traced) -> Words:
        return ["child_stack=NULL", "flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"]

    def born(self, traced: Traced) -> int | None:
        return traced.result.value or None


class Thread(Call):
    name = "thread"
    takes = ""
    binds = "process"
    manual = "pthread_create(3)"
    summary = "a thread that shares the table of descriptors"
    kernel = numbered("clone3", 435, 435)
    blocks = False
    line = plain_line
    seccomp = _CLONE
    declares = "pthread_t thread;"
    make = made_by_its_actor
    by_registers, by_arguments = in_registers()
    gave = gives_nothing

    def c(self, program: CProgram, actor: Actor, turn: Turn) -> list[str]:
        program.header("pthread.h")
        name = turn.step.binds[0]
        made = f"pthread_create(&thread, NULL, {name}_thread, NULL)"
        return [program.told("tell_thread", program.actor(name), made)]

    def python(self, program: PythonProgram, actor: Actor, turn: Turn) -> list[str]:
        name = turn.step.binds[0]
        return [
            f'threading.Thread(target=act, args=("{name}", {name}_thread), daemon=True).start()',
            f'{program.use("born")}("{name}", os.getpid())',
            "tell(0)",
        ]

    def strace(self, traced: Traced) -> Words:
        flags = (
            "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|"
            "CLONE_CHILD_CLEARTID"
        )
        return [f"{{flags={flags}, ...}}", "88"]

    def strace_value(self, traced: Traced) -> str:
        return str(self.born(traced))

    def born(self, traced: Traced) -> int | None:
        return traced.pids.get(traced.own.binds[0], 0)
