import signal


def before(found):
    """What a signal did before."""
    return {signal.SIG_DFL: "SIG_DFL", signal.SIG_IGN: "SIG_IGN"}.get(found, "HANDLER")
