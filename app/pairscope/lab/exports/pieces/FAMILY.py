# needs: named
import socket

FAMILY = [
    __FAMILY__
]
