"""Starts a tmux server, asks it twice, ends it: three clients, each of which passes its standard input and output."""

import os
import pathlib
import subprocess
import sys

at = pathlib.Path(sys.argv[1])
os.environ |= {"TMUX_TMPDIR": str(at), "TERM": "dumb", "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"}


def tmux(*words: str) -> None:
    done = subprocess.run(["tmux", "-f", "/dev/null", "-S", at / "tmux", *words], capture_output=True, text=True)
    print(words[0], done.returncode, done.stdout, done.stderr, flush=True)


tmux("new-session", "-d", "-s", "one", "-x", "80", "-y", "24", "cat")
tmux("list-sessions", "-F", "#{session_name}")
tmux("kill-server")
