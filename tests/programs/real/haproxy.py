"""Starts HAProxy, and another one that takes its listening sockets over (-x): a port, and the control socket."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import time

at = pathlib.Path(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as found:
    port = found.getsockname()[1]
(at / "conf").write_text(
    f"global\n    stats socket {at}/control mode 600 level admin expose-fd listeners\n    nbthread 1\n"
    "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n"
    f"frontend it\n    bind 127.0.0.1:{port}\n"
    "    http-request return status 200 content-type text/plain string served\n"
)


def answer() -> str:
    for _ in range(3000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: client.recv(4096), b"")).rpartition(b"\r\n")[2].decode()
        time.sleep(0.02)
    return "nobody answers"


first = subprocess.Popen(["haproxy", "-db", "-f", at / "conf"], stderr=subprocess.DEVNULL)
print(answer(), flush=True)
second = subprocess.Popen(
    ["haproxy", "-db", "-f", at / "conf", "-x", at / "control", "-sf", str(first.pid)], stderr=subprocess.DEVNULL
)
print("the first one ended", first.wait(), flush=True)
print(answer(), flush=True)
second.send_signal(signal.SIGUSR1)
print("the second one ended", second.wait(), flush=True)
