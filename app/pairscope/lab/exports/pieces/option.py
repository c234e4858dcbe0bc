import struct


def option(data):
    """A socket's option: a number, or several."""
    if len(data) == 4:
        return f"value={struct.unpack('=i', data)[0]}"
    kind = "q" if len(data) in (8, 16) else "i"
    size = struct.calcsize(kind)
    return f"value={[number for number, in struct.iter_unpack('=' + kind, data[:len(data) // size * size])]}"
