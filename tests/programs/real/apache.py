"""Apache with mod_proxy_fdpass, and who takes the connections of its clients: one for each request."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

MODULES = pathlib.Path("/usr/lib/apache2/modules")
REQUESTS = 3
at = pathlib.Path(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as found:
    port = found.getsockname()[1]
names = ["mpm_event", "authz_core", "proxy", "proxy_fdpass"]
(at / "conf").write_text(
    "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in names)
    + f"ServerRoot {at}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {at}/pid\nErrorLog {at}/error.log\n"
    f"DefaultRuntimeDir {at}\nStartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxRequestWorkers 4\n"
    'ProxyPass "/live" "fd://live.sock"\n'
)


def serve(listener: socket.socket) -> None:
    for number in range(REQUESTS):
        with listener.accept()[0] as apache:
            _, fds, *_ = socket.recv_fds(apache, 16, 4)
            with socket.socket(fileno=fds[0]) as client:
                client.sendall(b"passed on %d" % number)


def answer(path: str) -> bytes:
    for _ in range(3000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % path.encode())
            return b"".join(iter(lambda: client.recv(4096), b"")).rpartition(b"\r\n\r\n")[2]
        time.sleep(0.02)
    return b"nobody answers"


listener = socket.socket(socket.AF_UNIX)
listener.bind(str(at / "live.sock"))
(at / "live.sock").chmod(0o666)
listener.listen()
taker = threading.Thread(target=serve, args=(listener,))
taker.start()
server = subprocess.Popen(["apache2", "-DFOREGROUND", "-f", at / "conf"])
for _ in range(REQUESTS):
    print(answer("/live").decode(), flush=True)
taker.join()
server.send_signal(signal.SIGTERM)
print("ended", server.wait(), flush=True)
