# Three children end; SIGCHLD tells of them, though not of each.
import os
import signal

CHILDREN = 3

# Blocked from here on: sigwait takes it, and no handler runs.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])

for number in range(1, CHILDREN + 1):
    if os.fork() == 0:
        os._exit(10 + number)

signals = reaped = 0
while reaped < CHILDREN:
    signal.sigwait([signal.SIGCHLD])
    signals += 1
    # One signal may stand for several ends.
    while reaped < CHILDREN:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        reaped += 1
        print("a child ended with", os.WEXITSTATUS(status), flush=True)

fewer = "yes" if signals <= reaped else "no"
print(f"{reaped} ends, at most as many signals: {fewer}", flush=True)
