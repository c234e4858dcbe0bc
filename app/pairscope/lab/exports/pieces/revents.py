# needs: bits
import select

POLL = [
    __EVENTS__
]


def revents(found):
    """What poll found of each."""
    return f"revents=[{', '.join(bits(value, POLL) for value in found)}]"
