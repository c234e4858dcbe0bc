import os


def plain(number):
    """The descriptor as the call itself makes it. Python sets close-on-exec on whatever it makes."""
    os.set_inheritable(number, True)
    return number
