# The stage, which is not part of the lesson. The program forks the first process and then gives the turns: it waits until a
# step is done, or until the kernel says that whoever takes it sleeps in its call, and prints the line. It stands
# aside, in a process of its own, and shares memory with the others: none of them holds a descriptor for it.

NAMES = [__NAMES__]
# The steps in their order: whose it is, the call, for how many milliseconds it may sleep before it is said to block, and
# whether it is no call, but the return of one that blocked.
SCRIPT = [
    __SCRIPT__
]
BORN, WAITS, TURN, CALLS = range(4)  # an actor waits for its turn; has its turn; calls, and has not told yet what came of it
FUTEX = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine)  # where Python's threads wait for each other
ERRNOS = {getattr(errno, name): name for name in dir(errno) if name[0] == "E" and name not in ("EWOULDBLOCK", "ENOTSUP", "EDEADLOCK")}


class Actor(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_int), ("tid", ctypes.c_int), ("state", ctypes.c_int), ("gone", ctypes.c_bool), ("stopped", ctypes.c_bool),
        ("killed", ctypes.c_int),  # the signal that ended it, as a parent heard it from wait
        ("turn", ctypes.c_long * 4), ("line", ctypes.c_char * __LINE__),  # sem_t; what came of its last step
    ]


class Stage(ctypes.Structure):
    _fields_ = [("step", ctypes.c_int), ("port", ctypes.c_int * 2 * 2), ("trouble", ctypes.c_char * 4096), ("actor", Actor * len(NAMES))]


stage = Stage.from_buffer(mmap.mmap(-1, ctypes.sizeof(Stage)))
me = threading.local()


def act(name, function):
    """What a process, or a thread, does: its steps, and then it keeps its descriptors until the end."""
    me.actor = stage.actor[NAMES.index(name)]
    me.actor.tid = threading.get_native_id()
    if me.actor.tid == os.getpid():
        signal.alarm(__LONGER__)  # whatever becomes of the stage
    me.actor.state = WAITS
    try:
        function()
    except SystemExit:
        return
    except BaseException:
        stage.trouble = traceback.format_exc().encode()[-4000:]
        os._exit(70)
    while True:
        libc.pause()


@contextlib.contextmanager
def turn(step):
    """Waits until it is this step's turn. An error of its call is told like any other result."""
    while stage.step != step or me.actor.state != TURN:
        libc.sem_wait(ctypes.byref(me.actor.turn))
    me.actor.state = CALLS
    try:
        yield
    except OSError as error:
        tell(-1, ERRNOS.get(error.errno, str(error.errno)))


def tell(*words):
    """What the call returned, and what it gave beside that."""
    shown = [__TOLD__ for word in words]
    me.actor.line = " ".join(shown).encode()
    me.actor.state = WAITS
