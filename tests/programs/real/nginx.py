"""Starts nginx with two workers, has it reload its configuration, ends it: its master passes the channel of each new
worker to those that were born before."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

at = pathlib.Path(sys.argv[1])
user = "" if os.geteuid() else "user root;"
(at / "conf").write_text(
    f"pid {at}/pid; error_log {at}/error.log; worker_processes 2; {user}\nevents {{ worker_connections 64; }}\n"
    f"http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;\n"
    f"uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n"
    f'server {{ listen unix:{at}/sock; return 200 "$pid"; }} }}\n'
)


def answer() -> int:
    """The pid of the worker that answers."""
    for _ in range(3000):
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(at / "sock"))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return int(b"".join(iter(lambda: client.recv(4096), b"")).rpartition(b"\n")[2])
        time.sleep(0.02)
    return 0


def workers() -> set[int]:
    return set(map(int, pathlib.Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children").read_text().split()))


def until(what: str, holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            print(what, flush=True)
            return
        time.sleep(0.02)
    print("never:", what, flush=True)


nginx = subprocess.Popen(["nginx", "-p", at, "-c", at / "conf", "-g", "daemon off;"], stderr=subprocess.DEVNULL)
until("it answers", lambda: answer() in workers())
until("two workers", lambda: len(workers()) == 2)
old = workers()
nginx.send_signal(signal.SIGHUP)
until("another worker answers", lambda: answer() not in old)
until("the old ones have ended", lambda: not workers() & old and len(workers()) == 2)
nginx.send_signal(signal.SIGQUIT)
print("it ended", nginx.wait(), flush=True)
