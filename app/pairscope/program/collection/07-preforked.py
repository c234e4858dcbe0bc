# Three workers, born beforehand, accept from one listening socket.
import os
import socket

WORKERS, CLIENTS = 3, 6

listener = socket.socket(socket.AF_UNIX)
listener.bind("door")
listener.listen(CLIENTS)


def serve(worker):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            os._exit(0)
        client.send(f"worker {worker}".encode())
        client.close()


for number in range(WORKERS):
    if os.fork() == 0:
        serve(number)

served = 0
for _ in range(CLIENTS):
    client = socket.socket(socket.AF_UNIX)
    client.connect("door")
    served += client.recv(32).startswith(b"worker")
    client.close()
print(f"{served} of {CLIENTS} were served", flush=True)

listener.shutdown(socket.SHUT_RDWR)  # wakes everybody in accept
for _ in range(WORKERS):
    os.wait()
os.unlink("door")
