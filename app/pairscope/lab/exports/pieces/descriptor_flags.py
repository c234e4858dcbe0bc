# needs: bits
import fcntl

DESCRIPTOR_FLAGS = [
    __DESCRIPTOR_FLAGS__
]


def descriptor_flags(value):
    """What F_GETFD gives."""
    return bits(value, DESCRIPTOR_FLAGS)
