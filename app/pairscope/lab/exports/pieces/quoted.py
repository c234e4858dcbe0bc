def quoted(data):
    """The first __SHOWN__ bytes, with an escape for what is not printable ASCII."""
    known = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n"}
    text = "".join(known.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data[:__SHOWN__])
    return f'"{text}"' + ("..." if len(data) > __SHOWN__ else "")
