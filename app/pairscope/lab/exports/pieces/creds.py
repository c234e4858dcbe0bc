# needs: name_of
import struct


def creds(data):
    """Process, user and group: of numbers that differ from run to run, what they are."""
    pid, *ids = struct.unpack("=iII", data)
    return f"[{', '.join([name_of(pid), *(word if number != 0xFFFFFFFF else '-1' for number, word in zip(ids, ('uid', 'gid')))])}]"
