"""Starts PostgreSQL, waits until it takes connections, and ends it; where there is no database yet, makes one before.
Not as root."""

import pathlib
import signal
import subprocess
import sys
import time

at = pathlib.Path(sys.argv[1])
here = next(iter(pathlib.Path("/usr/lib/postgresql").glob("*/bin")))
if not (at / "data").exists():
    subprocess.run([here / "initdb", "-D", at / "data", "-A", "trust", "-N"], stdout=subprocess.DEVNULL, check=True)
began = time.monotonic()
server = subprocess.Popen(
    [here / "postgres", "-D", at / "data", "-k", at, "-c", "listen_addresses="],
    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,  # which it duplicates; its log is small
)  # fmt: skip
while subprocess.run([here / "pg_isready", "-q", "-h", at]).returncode:
    time.sleep(0.1)
print(f"ready after {time.monotonic() - began:.1f}", flush=True)
server.send_signal(signal.SIGTERM)
print("ended", server.wait(), flush=True)
