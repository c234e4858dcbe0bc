"""Listens where a machine's services, resolvers and links listen, and prints what the provisioning would call cut off:
``unshare --net python listeners.py PROVISION``."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

TCP, UDP, V4, V6 = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.AF_INET, socket.AF_INET6
NEAR = (
    (V4, TCP, "127.0.0.1", 7001), (V4, TCP, "127.0.0.53", 53), (V6, TCP, "::1", 7002), (V6, TCP, "::ffff:127.0.0.1",
    7003), (V6, TCP, "fe80::7%one", 7004),
    (V4, TCP, "169.254.7.7", 7005), (V4, UDP, "224.0.0.251", 7006), (V6, UDP, "ff02::fb%one", 7007),
    (V4, TCP, "0.0.0.0", 5355), (V6, TCP, "::", 5355), (V4, UDP, "0.0.0.0", 5355), (V4, UDP, "0.0.0.0", 5353), (V4,
    TCP, "0.0.0.0", 22), (V4, TCP, "0.0.0.0", 8080), (V4, UDP, "0.0.0.0", 68),
)  # fmt: skip
SERVED = ((V4, TCP, "0.0.0.0", 7100), (V4, TCP, "10.9.9.9", 7101), (V6, TCP, "fd00::9", 7102), (V4, UDP, "0.0.0.0",
7103), (V6, TCP, "::", 7104), (V4, TCP, "10.9.9.9", 53))  # fmt: skip
LINK = """ip link set lo up; ip link add one type veth peer name other; ip link set other up
ip addr add 10.9.9.9/24 dev one; ip addr add 169.254.7.7/16 dev one
ip addr add fe80::7/64 dev one nodad; ip addr add fd00::9/64 dev one nodad; ip link set one up"""

script = Path(sys.argv[1]).read_text()
functions = script[script.index("# ---- what the steps") : script.index("# ---- whether this machine fits")]
subprocess.run(["sh", "-ec", LINK], check=True)
with contextlib.ExitStack() as stack:
    for family, kind, host, port in (*NEAR, *SERVED):
        made = stack.enter_context(socket.socket(family, kind))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == V6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not host.startswith("::ffff"))
        made.bind(socket.getaddrinfo(host, port, family, kind)[0][4])
        if kind == TCP:
            made.listen()
    subprocess.run(["sh", "-c", f"port=8080\n{functions}\nreached"], check=True)
