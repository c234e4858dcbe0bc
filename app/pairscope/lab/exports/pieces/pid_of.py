def pid_of(name):
    """The number of a process."""
    return stage.actor[NAMES.index(name)].pid
