# A pipe with a name: who opens it waits for the other side.
import os

os.mkfifo("queue", 0o600)

if os.fork() == 0:
    out = os.open("queue", os.O_WRONLY)
    os.write(out, b"from somebody who knows the name")
    os._exit(0)

come = os.open("queue", os.O_RDONLY)  # waits for a writer
while text := os.read(come, 64):
    print(text.decode(), flush=True)
print("the last writer has closed it", flush=True)
os.wait()
os.unlink("queue")
