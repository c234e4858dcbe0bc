"""A child that confines itself as a worker does, then attacks or works as it is told, over its end of a socketpair.

Arguments: one JSON object. ``how``: ``closed`` (pairscope.sandbox.close), ``landlock`` (that part alone) or ``bare``
(only the user). ``end``: the number of its end. Each order is one packet of JSON, with descriptors; so is each answer.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pwd
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from pairscope import sandbox
from pairscope.sandbox import landlock
from pairscope.work.job import JobFailed, Task

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class Scene:
    """What an attack can aim at."""

    def __init__(self, facts: dict[str, Any], fds: list[int]) -> None:
        self.facts = facts
        self.input, self.output, self.stream_socket, self.datagram_socket = fds

    def __getattr__(self, name: str) -> Any:
        return self.facts[name]


numbers: dict[str, int] = {}


def resolve(name: str) -> int:
    import pyseccomp

    numbers[name] = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    return numbers[name]


def call(name: str, *arguments: Any) -> int:
    """The system call itself, past the C library. Raises OSError."""
    number = numbers[name] if name in numbers else resolve(name)
    if number < 0:
        raise OSError(errno.ENOSYS, f"{name} is not a call of this architecture")
    result = libc.syscall(number, *(ctypes.c_long(item) if isinstance(item, int) else item for item in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return int(result)


ATTACKS: dict[str, Callable[[Scene], Any]] = {}


def attack(function: Callable[[Scene], Any]) -> Callable[[Scene], Any]:
    ATTACKS[function.__name__.replace("_", "-")] = function
    return function


# ---- files


@attack
def open_a_file(scene: Scene) -> None:
    os.close(os.open(scene.file, os.O_RDONLY))


@attack
def open_the_root_directory(scene: Scene) -> None:
    os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))


@attack
def create_a_file(scene: Scene) -> None:
    os.close(os.open(f"{scene.directory}/made", os.O_CREAT | os.O_WRONLY, 0o600))


@attack
def create_a_nameless_file(scene: Scene) -> None:
    os.close(os.open(scene.directory, os.O_TMPFILE | os.O_RDWR, 0o600))


@attack
def make_a_directory(scene: Scene) -> None:
    os.mkdir(f"{scene.directory}/new")


@attack
def remove_a_file(scene: Scene) -> None:
    os.unlink(scene.removable)


@attack
def list_a_directory(scene: Scene) -> None:
    os.listdir(scene.directory)


@attack
def stat_a_path(scene: Scene) -> None:
    os.stat(scene.file)


@attack
def stat_a_path_as_if_it_were_a_descriptor(scene: Scene) -> None:
    call("newfstatat", -100, scene.file.encode(), ctypes.create_string_buffer(256), 0x1000)


@attack
def read_proc(scene: Scene) -> None:
    os.close(os.open("/proc/self/environ", os.O_RDONLY))


@attack
def read_memory_of_another_process_through_proc(scene: Scene) -> None:
    os.close(os.open(f"/proc/{scene.victim}/mem", os.O_RDWR))


@attack
def open_with_openat2(scene: Scene) -> None:
    os.close(call("openat2", -100, scene.file.encode(), struct.pack("QQQ", os.O_RDONLY, 0, 0), 24))


@attack
def import_a_module_late(scene: Scene) -> None:
    import wave  # noqa: F401


# ---- what a passed descriptor could be turned into


@attack
def reopen_the_input_for_writing(scene: Scene) -> None:
    os.close(os.open(f"/proc/self/fd/{scene.input}", os.O_RDWR))


@attack
def write_to_the_input(scene: Scene) -> None:
    os.pwrite(scene.input, b"x", 0)


@attack
def truncate_the_output(scene: Scene) -> None:
    os.ftruncate(scene.output, 4096)


@attack
def map_the_output_shared(scene: Scene) -> None:
    os.pwrite(scene.output, b"x" * 4096, 0)
    mmap.mmap(scene.output, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()


@attack
def map_the_output_shared_for_reading(scene: Scene) -> None:
    os.pwrite(scene.output, b"x" * 4096, 0)
    mmap.mmap(scene.output, 4096, mmap.MAP_SHARED, mmap.PROT_READ).close()


@attack
def seal_the_output(scene: Scene) -> None:
    fcntl.fcntl(scene.output, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL)


@attack
def lock_the_input(scene: Scene) -> None:
    fcntl.flock(scene.input, fcntl.LOCK_EX)


@attack
def change_the_flags_of_the_input(scene: Scene) -> None:
    fcntl.fcntl(scene.input, fcntl.F_SETFL, os.O_NONBLOCK)


@attack
def move_the_offset_of_the_input(scene: Scene) -> None:
    os.lseek(scene.input, 1, os.SEEK_SET)


@attack
def connect_a_passed_socket(scene: Scene) -> None:
    with socket.socket(fileno=os.dup(scene.stream_socket)) as passed:
        passed.connect(scene.unix_path)


@attack
def send_from_a_passed_socket_to_an_address(scene: Scene) -> None:
    with socket.socket(fileno=os.dup(scene.datagram_socket)) as passed:
        passed.sendto(b"x", ("127.0.0.1", scene.udp_port))


@attack
def send_by_a_passed_socket_with_sendmsg(scene: Scene) -> None:
    with socket.socket(fileno=os.dup(scene.datagram_socket)) as passed:
        passed.sendmsg([b"x"], [], 0, ("127.0.0.1", scene.udp_port))


# ---- sockets


@attack
def connect_to_a_unix_socket(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(scene.unix_path)


@attack
def connect_to_an_abstract_unix_socket(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect("\0" + scene.abstract)


@attack
def connect_by_tcp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect(("127.0.0.1", scene.tcp_port))


@attack
def listen_by_tcp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()


@attack
def send_by_udp(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", scene.udp_port))


@attack
def open_netlink(scene: Scene) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@attack
def make_a_socketpair(scene: Scene) -> None:
    for end in socket.socketpair():
        end.close()


@attack
def make_a_pipe(scene: Scene) -> None:
    for end in os.pipe():
        os.close(end)


@attack
def make_a_memfd(scene: Scene) -> None:
    os.close(os.memfd_create("attack"))


@attack
def set_up_io_uring(scene: Scene) -> None:
    os.close(call("io_uring_setup", 1, ctypes.create_string_buffer(120)))


# ---- processes


@attack
def fork(scene: Scene) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@attack
def start_a_thread(scene: Scene) -> None:
    import _thread

    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(done.release, ())
    done.acquire()


@attack
def execute_a_program(scene: Scene) -> None:
    os.execv("/bin/true", ["true"])


@attack
def kill_a_process_of_the_same_user(scene: Scene) -> None:
    os.kill(scene.victim, signal.SIGKILL)


@attack
def kill_it_by_its_thread(scene: Scene) -> None:
    call("tgkill", scene.victim, scene.victim, signal.SIGKILL)


@attack
def kill_its_own_group(scene: Scene) -> None:
    os.killpg(0, signal.SIGCONT)


@attack
def open_a_pidfd(scene: Scene) -> None:
    os.close(os.pidfd_open(scene.victim))


@attack
def take_a_descriptor_by_pidfd_getfd(scene: Scene) -> None:
    pidfd = os.pidfd_open(scene.victim)
    os.close(call("pidfd_getfd", pidfd, 0, 0))


@attack
def ptrace_a_process_of_the_same_user(scene: Scene) -> None:
    call("ptrace", 0x4206, scene.victim, 0, 0)  # PTRACE_SEIZE


@attack
def compare_descriptors_by_kcmp(scene: Scene) -> None:
    call("kcmp", os.getpid(), scene.victim, 0, 0, 0)


@attack
def read_memory_by_process_vm_readv(scene: Scene) -> None:
    buffer = ctypes.create_string_buffer(8)
    local = struct.pack("QQ", ctypes.addressof(buffer), 8)
    remote = struct.pack("QQ", scene.victim_address, 8)
    call("process_vm_readv", scene.victim, local, 1, remote, 1, 0)


@attack
def change_its_limits(scene: Scene) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    call("prlimit64", 0, resource.RLIMIT_NOFILE, struct.pack("QQ", 64, hard), 0)


@attack
def make_itself_undumpable(scene: Scene) -> None:
    if libc.prctl(4, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


@attack
def outlive_its_supervisor(scene: Scene) -> None:
    if libc.prctl(1, ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


@attack
def enter_a_user_namespace(scene: Scene) -> None:
    call("unshare", 0x10000000)


@attack
def become_root(scene: Scene) -> None:
    os.setresuid(0, 0, 0)


# ---- memory, and other tables of system calls


@attack
def make_executable_memory(scene: Scene) -> None:
    mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


@attack
def make_memory_executable(scene: Scene) -> None:
    with mmap.mmap(-1, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        call("mprotect", at, 4096, mmap.PROT_READ | mmap.PROT_EXEC)
        call("mprotect", at, 4096, mmap.PROT_READ | mmap.PROT_WRITE)


@attack
def call_with_an_x32_number(scene: Scene) -> None:
    if libc.syscall(ctypes.c_long(0x40000000 + 39)) < 0:
        raise OSError(ctypes.get_errno(), "x32 getpid")


# ---- exhaustion


@attack
def take_all_memory(scene: Scene) -> None:
    bytearray(2 << 30)


@attack
def write_beyond_the_bound(scene: Scene) -> None:
    os.pwrite(scene.output, b"x", scene.output_max)


@attack
def hold_ever_more_descriptors(scene: Scene) -> None:
    held = []
    try:
        for _ in range(2000):
            held.append(os.dup(scene.input))
    finally:
        for fd in held:
            os.close(fd)


# ---- the child


def outcome(do: Callable[[], Any]) -> str:
    try:
        do()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return type(error).__name__
    return "done"


def send(end: socket.socket, answer: dict[str, Any]) -> None:
    end.sendmsg([json.dumps(answer).encode()])


def receive(end: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, control, _, _ = end.recvmsg(1 << 17, socket.CMSG_SPACE(32), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for _, _, body in control:
        fds.frombytes(body[: len(body) // 4 * 4])
    return (json.loads(data), list(fds)) if data else None


def work(order: dict[str, Any], jobs: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    left = list(fds)
    task = Task(
        order["job"],
        "test",
        order["parameters"],
        bytes.fromhex(order["data"]),
        left.pop(0) if order["input"] else None,
        left.pop(0) if order["output"] else None,
        order["spare"],
    )
    try:
        return {"result": jobs[order["job"]].run(task)}
    except JobFailed as failure:
        return {"failed": str(failure)}
    except Exception as error:
        return {"broken": f"{type(error).__name__}: {error}"}


def separately(end: socket.socket, name: str, scene: Scene) -> None:
    """The attack in a child, so that one that succeeds does not change this process."""
    child = os.fork()
    if child == 0:
        send(end, {"outcome": outcome(lambda: ATTACKS[name](scene))})
        os._exit(77)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 77:
        send(end, {"outcome": "done" if status == 0 else ended(status)})


def ended(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exited {status}"


def supervise(busy: bool) -> tuple[int, dict[str, Any]]:
    """Forks a child that confines itself and then waits, or turns round for ever; and looks at it."""
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            sandbox.close(theirs.fileno(), "", 1 << 20, parent)
            send(theirs, {})
            while busy:
                pass
            receive(theirs)
        finally:
            os._exit(0)
    number = theirs.fileno()
    receive(own)
    pidfd = os.pidfd_open(child)
    found = {
        "kcmp": outcome(lambda: call("kcmp", parent, child, 0, number, number)),
        "same": call("kcmp", parent, child, 0, number, number) == 0,
        "pidfd_getfd": outcome(lambda: os.close(call("pidfd_getfd", pidfd, number, 0))),
        "link": os.readlink(f"/proc/{child}/fd/{number}") == os.readlink(f"/proc/self/fd/{number}"),
        "fds": sorted(map(int, os.listdir(f"/proc/{child}/fd"))),
        "end": number,
    }
    os.close(pidfd)
    theirs.close()
    if not busy:
        own.close()
        os.waitpid(child, 0)
    return child, found


def deny(names: list[str]) -> None:
    """Makes this kernel one that has no such calls."""
    import pyseccomp

    chosen = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in names:
        chosen.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)
    if "seccomp" in names:
        chosen.add_rule(pyseccomp.ERRNO(errno.EINVAL), "prctl", pyseccomp.Arg(0, pyseccomp.EQ, 22))
    chosen.load()


def serve(end: socket.socket, jobs: dict[str, Any], apart: bool) -> None:
    while order := receive(end):
        told, fds = order
        if "attack" in told and apart:
            separately(end, told["attack"], Scene(told, fds))
        elif "attack" in told:
            send(end, {"outcome": outcome(lambda: ATTACKS[told["attack"]](Scene(told, fds)))})
        elif "call" in told:
            send(end, {"outcome": outcome(lambda: call(told["call"], *[-1] * 6))})
        elif "supervise" in told:
            child, found = supervise(told["supervise"] == "busy")
            send(end, {"child": child, **found})
        elif "blocking" in told:

            def own() -> None:
                end.setblocking(True)
                end.settimeout(5)
                end.settimeout(None)

            answer = {"own": outcome(own)}
            send(end, {**answer, "passed": outcome(lambda: os.set_blocking(fds[0], False))})
        elif "log" in told:
            os.write(2, told["log"].encode())
            answer = {
                "overwrite": outcome(lambda: os.pwrite(2, b"#", 0)),
                "truncate": outcome(lambda: os.ftruncate(2, 0)),
            }
            send(end, {**answer, "read": outcome(lambda: os.pread(2, 10, 0))})
        elif "abort" in told:
            os.abort()
        else:
            send(end, work(told, jobs, fds))
        for fd in fds:
            os.close(fd)


def main(told: dict[str, Any]) -> None:
    end = socket.socket(fileno=told["end"])
    jobs: dict[str, Any] = {}
    if told["jobs"]:
        from pairscope.work.jobs import catalogue

        jobs = catalogue()
        for job in jobs.values():
            job.exercise()
    for name in told["calls"]:
        resolve(name)
    if told["deny"]:
        deny(told["deny"])
    if told["how"] == "closed":
        try:
            level = sandbox.close(
                end.fileno(), told["user"], told["output_max"], told["parent"] or os.getppid(), told["most"]
            )
        except sandbox.SandboxError as error:
            send(end, {"error": str(error)})
            return
        send(end, {"level": level.name, "detail": level.detail})
    else:
        if told["user"] and os.geteuid() == 0:
            account = pwd.getpwnam(told["user"])
            os.setgroups([])
            os.setresgid(*[account.pw_gid] * 3)
            os.setresuid(*[account.pw_uid] * 3)
        libc.prctl(4, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
        handled = None
        if told["how"] == "landlock":
            libc.prctl(38, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
            handled = landlock.restrict(told["abi"])
        send(end, {"level": told["how"], "detail": handled and handled._asdict()})
    serve(end, jobs, apart=told["how"] != "closed")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
