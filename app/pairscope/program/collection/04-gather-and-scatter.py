# sendmsg gathers pieces of memory; recvmsg scatters them again,
# wherever the borders of its own pieces are.
import socket

left, right = socket.socketpair()

count = left.sendmsg([b"it is", b" a ", b"test"])
print(f"sent {count} bytes in 3 pieces", flush=True)

head, rest = bytearray(8), bytearray(16)
count, _, _, _ = right.recvmsg_into([head, rest])
begin, end = head.decode(), rest[: count - 8].decode()
print(f'received {count}: "{begin}" and "{end}"', flush=True)
