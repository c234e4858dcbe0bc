def bits(value, known):
    """A number as the names of its bits."""
    names = []
    for name, number in known:
        if value & number == number:
            names.append(name)
            value &= ~number
    return "|".join([*names, *([hex(value)] if value else [])]) or "0"
