# A server with poll: one process, and a table of who may be ready.
import os
import select
import socket

CLIENTS = 2


def client(number):
    end = socket.socket(socket.AF_UNIX)
    end.connect("door")
    end.send(f"client {number}".encode())
    end.recv(16)
    os._exit(0)


listener = socket.socket(socket.AF_UNIX)
listener.bind("door")
listener.listen(CLIENTS)
for number in range(CLIENTS):
    if os.fork() == 0:
        client(number)

ready = select.poll()
ready.register(listener, select.POLLIN)
open_ends, gone = {}, 0
while gone < CLIENTS:
    for number, _ in ready.poll():
        if number == listener.fileno():
            end, _ = listener.accept()
            open_ends[end.fileno()] = end
            ready.register(end, select.POLLIN)
        elif text := open_ends[number].recv(16):
            open_ends[number].send(text)
        else:
            ready.unregister(number)
            open_ends.pop(number).close()
            gone += 1

print(gone, "clients had their echo", flush=True)
for _ in range(CLIENTS):
    os.wait()
os.unlink("door")
