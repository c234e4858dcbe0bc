# needs: call
import ctypes


class PollFd(ctypes.Structure):
    """struct pollfd, poll(2). Python's own poll hides EINTR, and a descriptor that is named twice."""

    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]
