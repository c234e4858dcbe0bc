"""Each text that is written stands at the line from which it must be told: tests/test_trace_lines.py."""

import _thread
import atexit
import os
import signal
import socket
import subprocess
import sys
import threading

ours, theirs = socket.socketpair()  # socketpair
end = ours.fileno()
seen: list[int] = []


def nested():
    os.write(end, b"nested")
    return b"argument"


def handler(number, frame):
    seen.append(os.write(end, b"handler"))


def generator():
    yield os.write(end, b"generator")


def endless(depth):
    return endless(depth + 1)


def in_a_thread():
    os.write(end, b"thread")
    if not os.fork():  # from a thread
        os._exit(os.write(end, b"of a thread"))
    os.wait()


def raw():
    os.write(end, b"raw")
    lock.release()


def late():
    """Waits until the first thread is at recvfrom, and not for the interpreter."""
    number = {"x86_64": "45", "aarch64": "207"}[os.uname().machine]
    while open("/proc/self/syscall").read().split()[0] != number:
        pass
    os.write(end, b"late")


def started(function):
    thread = threading.Thread(target=function)
    thread.start()  # started
    return thread


atexit.register(lambda: os.write(end, b"at exit"))
os.write(end, b"direct")
os.write(end,  # of its argument
         nested())  # fmt: skip
list(generator())
os.write(end, b"".join(bytes([one]) for one in b"comprehension"))
started(in_a_thread).join()
lock = threading.Lock()
lock.acquire()
_thread.start_new_thread(raw, ())  # begun
lock.acquire()

theirs.recv(4096)
thread = started(late)
theirs.recv(4)  # waits
thread.join()

signal.signal(signal.SIGVTALRM, handler)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
while not seen:
    pass  # loop

if not os.fork():  # fork
    os.write(end, b"child")
    started(nested).join()
    os._exit(0)  # over
os.wait()
subprocess.run(["/bin/true"])  # subprocess
try:
    endless(0)
except RecursionError:
    os.write(end, b"recursion")
sys.settrace(None)
os.write(end, b"untraced")
left = os.fdopen(os.dup(end), "w")
left.write("flushed")
