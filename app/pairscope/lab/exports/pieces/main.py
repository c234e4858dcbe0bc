def signal_name(number):
    """SIGPIPE for 13, SIGRTMIN+1 for 35."""
    other = f"SIGRTMIN+{number - signal.SIGRTMIN}" if signal.SIGRTMIN < number < signal.SIGRTMAX else f"signal {number}"
    return next((known.name for known in signal.Signals if known == number), other)


def look(actor, file):
    """A file of /proc about an actor; empty: there is none."""
    try:
        with open(f"/proc/{actor.pid}/task/{actor.tid}/{file}") as text:
            return text.read()
    except OSError:
        return ""


def still(actor):
    """Whether an actor stands still: asleep at its turn or in its call, or gone. proc_pid_syscall(5), proc_pid_stat(5)"""
    if actor.pid <= 0 or actor.gone:
        return True
    if actor.state not in (WAITS, CALLS):
        return False
    where = look(actor, "syscall")
    if where.startswith("running") or actor.state == CALLS and where.startswith(f"{FUTEX} "):
        return False
    state = look(actor, "stat").rpartition(")")[2][1:2]
    actor.gone, actor.stopped = state in ("", "Z", "X"), state == "T"
    return actor.gone or actor.stopped or state == "S"


def settle():
    """Waits until all stand still at two looks, one after the other: at the first, one may have been waking another."""
    calm = 0
    while calm < 2:
        if all(still(actor) for actor in stage.actor):
            calm += 1
        else:
            calm = 0
            time.sleep(0.0001)


def killer(actor):
    """The signal that has killed an actor; 0: none, or nobody can see any more."""
    try:
        with open(f"/proc/{actor.pid}/stat") as text:
            words = text.read().rpartition(")")[2].split()
    except OSError:
        return actor.killed
    return int(words[-1]) & 0x7F if words[0] == "Z" else actor.killed


made = {}  # the last call of each


def play(step, name, call, patience, returned):
    """Gives one step its turn: what came of it; empty: it cannot be taken."""
    actor = stage.actor[NAMES.index(name)]
    calls = lambda: actor.state == CALLS and not actor.gone  # noqa: E731
    if returned:
        possible = made.get(name) == call
    else:
        possible = actor.pid > 0 and not actor.gone and not actor.stopped and actor.state == WAITS
        if possible:
            made[name] = call
            stage.step, actor.state = step, TURN
            libc.sem_post(ctypes.byref(actor.turn))
    settle()
    for _ in range(patience):
        if not calls():
            break
        time.sleep(0.001)
        settle()
    if not possible or returned and calls():
        return ""
    if calls():
        return " blocks"
    if actor.state == WAITS and actor.line:
        return f" {'returned' if returned else '='} {actor.line.decode()}"
    return f": killed by {signal_name(killer(actor))}" if killer(actor) else ": ended"


def first():
    """What the first process is before it plays: numbers, limits and signals are the same whoever starts the program."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.closerange(3, 1 << 20)
    os.setpgid(0, 0)  # so SIGTSTP stops whoever gets it: in a group whose parents are all of another session it would do nothing
    resource.setrlimit(resource.RLIMIT_NOFILE, (__NUMBERS_MAX__, __NUMBERS_MAX__))
    for number in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    act(NAMES[0], __FIRST__)


def over(number, frame):
    """The time is up, or somebody asked for the end."""
    sys.exit("the time is up" if number == signal.SIGALRM else "interrupted")


def main():
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whoever loses a parent becomes a child of this process
    for actor in stage.actor:
        libc.sem_init(ctypes.byref(actor.turn), 1, 0)
    __ENTER__
    pid = os.fork()
    if pid == 0:
        first()
    stage.actor[0].pid = pid
    for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, over)
    signal.alarm(__SECONDS__)
    try:
        settle()
        for step, (name, call, patience, returned) in enumerate(SCRIPT, 1):
            came = play(step, name, call, patience, returned)
            print(f"{step} {name} {call}{came or ': not possible'}", flush=True)
            if not came:
                sys.exit(1)
    finally:
        for actor in stage.actor:
            if actor.pid > 0 and not actor.gone:
                os.kill(actor.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        sys.stderr.write(stage.trouble.decode())
        __CLEAN__


if __name__ == "__main__":
    main()
