# needs: bits
import os

STATUS_FLAGS = [
    __STATUS_FLAGS__
]


def status_flags(value):
    """What F_GETFL gives: the access is a number of its own, and flags are joined to it. fcntl(2)"""
    access = (__ACCESS__)[value & os.O_ACCMODE]
    rest = value & ~os.O_ACCMODE
    return f"{access}|{bits(rest, STATUS_FLAGS)}" if rest else access
