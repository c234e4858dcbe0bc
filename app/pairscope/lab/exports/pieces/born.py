def born(name, pid):
    """Who was born, and with which number."""
    stage.actor[NAMES.index(name)].pid = pid
    return name
