def named(value, known):
    """A number by its name, or in digits."""
    return next((name for name, other in known if other == value), str(value))
