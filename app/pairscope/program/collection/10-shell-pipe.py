# What a shell does for: echo one two three | wc -w
import os
import sys


def start(put_in, put_out, *words):
    pid = os.fork()
    if pid == 0:
        os.dup2(put_in, 0)
        os.dup2(put_out, 1)
        os.execvp(words[0], words)
    return pid


# os.pipe() sets O_CLOEXEC: execvp closes the two numbers that are
# left over. Without that, wc would never see the end.
read, write = os.pipe()
start(0, write, "echo", "one two three")
last = start(read, 1, "wc", "-w")
os.close(read)
os.close(write)

_, status = os.waitpid(last, 0)
os.wait()
sys.exit(os.WEXITSTATUS(status))  # a shell's $? is the last one's
