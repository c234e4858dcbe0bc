# needs: named
import socket

PROTOCOL = [
    __PROTOCOL__
]
