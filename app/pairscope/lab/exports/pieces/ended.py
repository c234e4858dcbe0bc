# needs: name_of
import os


def ended(pid, status):
    """Which child, and how it ended, was stopped or went on."""
    words = [name_of(pid)]
    if pid and os.WIFEXITED(status):
        words.append(f"status={os.WEXITSTATUS(status)}")
    elif pid and os.WIFSIGNALED(status):
        words.append(f"killed={signal_name(os.WTERMSIG(status))}")
        for actor in stage.actor:
            if actor.pid == pid:
                actor.killed = os.WTERMSIG(status)
    elif pid and os.WIFSTOPPED(status):
        words.append(f"stopped={signal_name(os.WSTOPSIG(status))}")
    elif pid and os.WIFCONTINUED(status):
        words.append("continued=SIGCONT")
    return words
