# needs: named
import socket

TYPE = [
    __TYPE__
]
