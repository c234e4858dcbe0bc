# One process has both ends of a socket pair.
import socket

left, right = socket.socketpair()

left.send(b"hello, other end")
text = right.recv(32)
print(f"read {len(text)} bytes: {text.decode()}", flush=True)

left.close()
text = right.recv(32)
print(f"read {len(text)}: the other end is closed", flush=True)
