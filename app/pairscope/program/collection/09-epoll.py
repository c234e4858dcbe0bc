# A server with epoll: the kernel keeps the table.
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

epoll = select.epoll()
epoll.register(listener, select.EPOLLIN)
open_ends, gone = {}, 0
while gone < CLIENTS:
    for number, _ in epoll.poll():
        if number == listener.fileno():
            end, _ = listener.accept()
            open_ends[end.fileno()] = end
            epoll.register(end, select.EPOLLIN)
        elif text := open_ends[number].recv(16):
            open_ends[number].send(text)
        else:
            open_ends.pop(number).close()  # and epoll forgets it
            gone += 1

print(gone, "clients had their echo", flush=True)
for _ in range(CLIENTS):
    os.wait()
os.unlink("door")
