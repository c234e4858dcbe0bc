# A question goes one way and its answer the other, on one pair.
import os
import socket

# SEQPACKET keeps each message apart from the next.
mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

pid = os.fork()
if pid == 0:
    mine.close()
    while word := other.recv(32):
        other.send(word.upper())
    os._exit(0)
other.close()

for word in ("one", "two", "three"):
    mine.send(word.encode())
    said = mine.recv(32)
    print(word, "->", said.decode(), flush=True)

mine.shutdown(socket.SHUT_WR)
os.waitpid(pid, 0)
