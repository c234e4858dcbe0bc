# Each waits for the other to speak first. An alarm ends it.
import os
import signal
import socket


def on_alarm(number, frame):
    print("a deadlock: nobody speaks for a second", flush=True)
    os._exit(1)


mine, other = socket.socketpair()

if os.fork() == 0:
    mine.close()
    end = other
else:
    other.close()
    end = mine
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(1)

# Both begin with what the other would have to do first.
if end.recv(16):
    end.send(b"after you")
