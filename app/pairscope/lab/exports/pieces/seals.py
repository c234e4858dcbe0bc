# needs: bits
import fcntl

SEALS = [
    __SEALS__
]


def seals(value):
    """What F_GET_SEALS gives."""
    return bits(value, SEALS)
