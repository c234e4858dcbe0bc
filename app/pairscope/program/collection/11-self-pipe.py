# A signal becomes a byte in a pipe, so that poll can wait for it.
import os
import select
import signal

read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(write)  # Python writes the signal's number there
signal.signal(signal.SIGUSR1, lambda number, frame: None)

if os.fork() == 0:
    os.kill(os.getppid(), signal.SIGUSR1)
    os._exit(0)

wakes = select.poll()
wakes.register(read, select.POLLIN)
wakes.poll()
for number in os.read(read, 16):
    print("signal", number, "came through the pipe", flush=True)
os.wait()
