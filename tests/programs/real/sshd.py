"""sshd, into which an ordinary user logs in with a terminal: the monitor passes both ends of it to the process of the
user. As root, in a mount namespace of its own, where /etc/passwd and /run are others: the user is of no system."""

import os
import pathlib
import socket
import subprocess
import sys
import time

at = pathlib.Path(sys.argv[1])
if len(sys.argv) == 2:
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, __file__, str(at), "inside"])
with socket.create_server(("127.0.0.1", 0)) as found:
    port = found.getsockname()[1]
for name in "host", "key":
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at / name], check=True)
(at / "keys").write_bytes((at / "key.pub").read_bytes())
(at / "passwd").write_text(
    "root:x:0:0:root:/root:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    "guest:x:65532:65534::/:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
)
(at / "conf").write_text(
    f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/keys\nPidFile none\nUsePAM no\n"
    "StrictModes no\nPrintLastLog no\nPrintMotd no\nLogLevel QUIET\n"
)
at.chmod(0o755)
(at / "keys").chmod(0o644)
subprocess.run(["mount", "--bind", at / "passwd", "/etc/passwd"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
pathlib.Path("/run/sshd").mkdir(mode=0o755)
sshd = next(path for path in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if os.path.exists(path))
server = subprocess.Popen([sshd, "-D", "-f", at / "conf"])
for _ in range(3000):
    with socket.socket() as client:
        if not client.connect_ex(("127.0.0.1", port)):
            break
    time.sleep(0.02)
options = [
    "-F",
    "none",
    "-i",
    str(at / "key"),
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    f"UserKnownHostsFile={at}/known",
]
done = subprocess.run(
    ["ssh", "-tt", "-q", *options, "-p", str(port), "guest@127.0.0.1", "tty | grep -o /dev/pts; id -u"],
    stdin=subprocess.DEVNULL, capture_output=True, text=True,
)  # fmt: skip
print(done.returncode, done.stdout.split(), done.stderr, flush=True)
server.terminate()
print("ended", server.wait(), flush=True)
