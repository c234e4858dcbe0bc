"""The parts that Python programs are put together of, beside the steps themselves."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    body: str
    imports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


PIECES = {
    # What the lesson itself is about; these stand before the steps.
    "libc": Piece(
        """\
libc = ctypes.CDLL(None, use_errno=True)
""",
        ("ctypes",),
    ),
    "call": Piece(
        '''\
def call(function, *arguments):
    """A function of the C library, where Python's own would not let the arguments or the result through."""
    function.restype = ctypes.c_ssize_t if function.__name__ in ("read", "write", "recv", "send", "pread", "sendmsg", "recvmsg") else ctypes.c_int
    ctypes.set_errno(0)
    value = function(*arguments)
    if value == -1:
        raise OSError(ctypes.get_errno(), function.__name__)
    return value
''',
        ("ctypes",),
        ("libc",),
    ),
    "BADPTR": Piece(
        """\
BADPTR = ctypes.c_void_p(1)  # an address that nothing is mapped at
""",
        ("ctypes",),
    ),
    "borrow": Piece(
        '''\
@contextlib.contextmanager
def borrow(number):
    """A socket object that stands for a descriptor and does not own it."""
    if number < 0:
        raise OSError(errno.EBADF, "borrow")
    sock = socket.socket(fileno=number)
    try:
        yield sock
    finally:
        sock.detach()
''',
        ("contextlib", "errno", "socket"),
    ),
    "plain": Piece(
        '''\
def plain(number):
    """The descriptor as the call itself makes it. Python sets close-on-exec on whatever it makes."""
    os.set_inheritable(number, True)
    return number
''',
        ("os",),
    ),
    "handler": Piece(
        '''\
def handler(number, frame):
    """Does nothing: that it has run is enough to end a call with EINTR."""
''',
        (),
    ),
    "pollfd": Piece(
        '''\
class PollFd(ctypes.Structure):
    """struct pollfd, poll(2). Python's own poll hides EINTR, and a descriptor that is named twice."""

    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]
''',
        ("ctypes",),
        ("call",),
    ),
    "raw_read": Piece(
        '''\
def raw_read(function, number, size, *more, count=None):
    """Reads by a function of the C library: how many bytes there were, and as many as there was room for."""
    room = ctypes.create_string_buffer(max(size, 1))
    count = call(function, number, room, ctypes.c_size_t(size if count is None else count), *more)
    return count, room.raw[: min(count, size)]
''',
        ("ctypes",),
        ("call",),
    ),
    "keeps": Piece(
        '''\
def keeps(number):
    """Whether a call with MSG_TRUNC writes anything: TCP counts what is asked for, and copies nothing. tcp(7)"""
    with borrow(number) as sock:
        return sock.proto != socket.IPPROTO_TCP
''',
        ("socket",),
        ("borrow",),
    ),
    "msghdr": Piece(
        '''\
class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    """struct msghdr, recvmsg(2), with control data and lengths that Python would not send."""

    _fields_ = [
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p), ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int),
    ]
''',
        ("ctypes",),
    ),
    "raw_message": Piece(
        '''\
def raw_message(function, number, pieces, control=b"", length=None, flags=0, iov=None):
    """sendmsg or recvmsg as they are. `control`: its bytes; `length`: what is claimed of them; `iov`: an address in place of the pieces'."""
    held = [(ctypes.c_char * len(piece)).from_buffer_copy(piece) for piece in pieces]
    array = (Iovec * max(len(held), 1))(*((ctypes.addressof(piece), len(piece)) for piece in held))
    length = len(control) if length is None else length
    room = ctypes.create_string_buffer(control, max(length, len(control)) + 64)
    header = Msghdr(
        iov=ctypes.addressof(array) if iov is None else iov, iovlen=len(held) or iov is not None,
        control=ctypes.addressof(room) if length else None, controllen=length,
    )
    return call(function, number, ctypes.byref(header), flags)
''',
        ("ctypes",),
        ("msghdr", "call"),
    ),
    "raw_recvmsg": Piece(
        '''\
def raw_recvmsg(number, pieces, room, flags):
    """recvmsg as it is, where Python's own would take it up again after a handler. It gives what recvmsg_into gives."""
    held = [(ctypes.c_char * len(piece)).from_buffer(piece) for piece in pieces]
    array = (Iovec * max(len(held), 1))(*((ctypes.addressof(piece), len(piece)) for piece in held))
    control = ctypes.create_string_buffer(room + 64)
    header = Msghdr(iov=ctypes.addressof(array), iovlen=len(held), control=ctypes.addressof(control) if room else None, controllen=room)
    count = call(libc.recvmsg, number, ctypes.byref(header), flags)
    found, data = [], control.raw[: header.controllen]
    while len(data) >= 16:
        length, level, kind = struct.unpack_from("=QII", data)
        found.append((level, kind, data[16:length]))
        data = data[length + 7 & ~7 :]
    return count, found, header.flags, None
''',
        ("ctypes", "struct"),
        ("msghdr", "call"),
    ),
    "cmsg": Piece(
        '''\
def cmsg(kind, data, length=None):
    """A control message: header, data, padding. `length`: what its header claims. cmsg(3)"""
    header = struct.pack("=QII", (16 + len(data) if length is None else length) % (1 << 64), socket.SOL_SOCKET, kind)
    return header + data + bytes(-len(data) % 8)
''',
        ("socket", "struct"),
    ),
    # What the steps tell; these stand behind them.
    "quoted": Piece('''\
def quoted(data):
    """The first @SHOWN@ bytes, with an escape for what is not printable ASCII."""
    known = {ord('"'): '\\\\"', ord("\\\\"): "\\\\\\\\", ord("\\n"): "\\\\n"}
    text = "".join(known.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\\\x{byte:02x}") for byte in data[:@SHOWN@])
    return f'"{text}"' + ("..." if len(data) > @SHOWN@ else "")
'''),
    "pid_of": Piece('''\
def pid_of(name):
    """The number of a process."""
    return stage.actor[NAMES.index(name)].pid
'''),
    "name_of": Piece('''\
def name_of(pid):
    """The name of the process with this number."""
    return next((name for name, actor in zip(NAMES, stage.actor) if pid and actor.pid == pid), "a process" if pid else "0")
'''),
    "born": Piece('''\
def born(name, pid):
    """Who was born, and with which number."""
    stage.actor[NAMES.index(name)].pid = pid
    return name
'''),
    "ended": Piece(
        '''\
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
''',
        ("os",),
        ("name_of",),
    ),
    "creds": Piece(
        '''\
def creds(data):
    """Process, user and group: of numbers that differ from run to run, what they are."""
    pid, *ids = struct.unpack("=iII", data)
    return f"[{', '.join([name_of(pid), *(word if number != 0xFFFFFFFF else '-1' for number, word in zip(ids, ('uid', 'gid')))])}]"
''',
        ("struct",),
        ("name_of",),
    ),
    "bits": Piece('''\
def bits(value, known):
    """A number as the names of its bits."""
    names = []
    for name, number in known:
        if value & number == number:
            names.append(name)
            value &= ~number
    return "|".join([*names, *([hex(value)] if value else [])]) or "0"
'''),
    "status_flags": Piece(
        '''\
STATUS_FLAGS = [
@STATUS_FLAGS@
]


def status_flags(value):
    """What F_GETFL gives: the access is a number of its own, and flags are joined to it. fcntl(2)"""
    access = (@ACCESS@)[value & os.O_ACCMODE]
    rest = value & ~os.O_ACCMODE
    return f"{access}|{bits(rest, STATUS_FLAGS)}" if rest else access
''',
        ("os",),
        ("bits",),
    ),
    "descriptor_flags": Piece(
        '''\
DESCRIPTOR_FLAGS = [
@DESCRIPTOR_FLAGS@
]


def descriptor_flags(value):
    """What F_GETFD gives."""
    return bits(value, DESCRIPTOR_FLAGS)
''',
        ("fcntl",),
        ("bits",),
    ),
    "seals": Piece(
        '''\
SEALS = [
@SEALS@
]


def seals(value):
    """What F_GET_SEALS gives."""
    return bits(value, SEALS)
''',
        ("fcntl",),
        ("bits",),
    ),
    "named": Piece('''\
def named(value, known):
    """A number by its name, or in digits."""
    return next((name for name, other in known if other == value), str(value))
'''),
    "TYPE": Piece(
        """\
TYPE = [
@TYPE@
]
""",
        ("socket",),
        ("named",),
    ),
    "FAMILY": Piece(
        """\
FAMILY = [
@FAMILY@
]
""",
        ("socket",),
        ("named",),
    ),
    "PROTOCOL": Piece(
        """\
PROTOCOL = [
@PROTOCOL@
]
""",
        ("socket",),
        ("named",),
    ),
    "message": Piece(
        '''\
MSG = [
@MESSAGE_FLAGS@
]


def message(came, pieces, *names):
    """What recvmsg gave: how much, the bytes (`pieces` None: the kernel copied none), its flags, descriptors, credentials. The descriptors get their names."""
    count, control, flags, _ = came
    words = [count, *([] if pieces is None and count else [quoted(b"".join(pieces or ())[:count])]), f"flags={bits(flags & ~socket.MSG_CMSG_CLOEXEC, MSG)}"]
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and @RIGHTS@:
            fds.frombytes(data[: len(data) // 4 * 4])
    for name, number in zip(names, fds):
        setattr(fd, name, number)
    words += [f"fds={fds.tolist()}"] if fds else []
@CREDS@    return words
''',
        ("array", "socket"),
        ("quoted", "bits"),
    ),
    "revents": Piece(
        '''\
POLL = [
@EVENTS@
]


def revents(found):
    """What poll found of each."""
    return f"revents=[{', '.join(bits(value, POLL) for value in found)}]"
''',
        ("select",),
        ("bits",),
    ),
    "option": Piece(
        '''\
def option(data):
    """A socket's option: a number, or several."""
    if len(data) == 4:
        return f"value={struct.unpack('=i', data)[0]}"
    kind = "q" if len(data) in (8, 16) else "i"
    size = struct.calcsize(kind)
    return f"value={[number for number, in struct.iter_unpack('=' + kind, data[:len(data) // size * size])]}"
''',
        ("struct",),
    ),
    "before": Piece(
        '''\
def before(found):
    """What a signal did before."""
    return {signal.SIG_DFL: "SIG_DFL", signal.SIG_IGN: "SIG_IGN"}.get(found, "HANDLER")
''',
        ("signal",),
    ),
    "raw_signal": Piece(
        '''\
def raw_signal(number, what):
    """signal(2) in a thread, where Python has it only for the first one. The handler is a function of the C library that does nothing."""
    nothing = ctypes.cast(libc.abs, ctypes.c_void_p).value
    libc.signal.restype = ctypes.c_void_p
    ctypes.set_errno(0)
    found = libc.signal(number, ctypes.c_void_p({"SIG_DFL": 0, "SIG_IGN": 1, "HANDLER": nothing}[what]))
    if found == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "signal")
    return {None: "SIG_DFL", 1: "SIG_IGN"}.get(found, "HANDLER")
''',
        ("ctypes",),
        ("libc",),
    ),
    "bound": Piece(
        '''\
def bound(sock):
    """Keeps the port for whoever connects."""
    stage.port[sock.family == socket.AF_INET6][sock.type == socket.SOCK_DGRAM] = sock.getsockname()[1]
''',
        ("socket",),
    ),
    "bound_port": Piece(
        '''\
def bound_port(family, number):
    """That the last bind of such a socket was given: ports of UDP are others than those of TCP."""
    with contextlib.suppress(OSError), borrow(number) as sock:
        return stage.port[family == socket.AF_INET6][sock.type == socket.SOCK_DGRAM]
    return stage.port[family == socket.AF_INET6][0]
''',
        ("contextlib", "socket"),
        ("borrow",),
    ),
}
"""In the order in which they stand in a program."""

CREDENTIALS = """\
    words += [f"creds={creds(data)}" for level, kind, data in control if (level, kind, len(data)) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, 12)]
"""
"""What message() has where credentials may come."""

BEFORE = (
    "libc",
    "call",
    "BADPTR",
    "borrow",
    "plain",
    "handler",
    "pollfd",
    "raw_read",
    "keeps",
    "msghdr",
    "raw_message",
    "raw_recvmsg",
    "cmsg",
)
"""Pieces that stand before the steps."""

STAGE = '''\
# The stage, which is not part of the lesson. The program forks the first process and then gives the turns: it waits until a
# step is done, or until the kernel says that whoever takes it sleeps in its call, and prints the line. It stands
# aside, in a process of its own, and shares memory with the others: none of them holds a descriptor for it.

NAMES = [@NAMES@]
# The steps in their order: whose it is, the call, for how many milliseconds it may sleep before it is said to block, and
# whether it is no call, but the return of one that blocked.
SCRIPT = [
@SCRIPT@
]
BORN, WAITS, TURN, CALLS = range(4)  # an actor waits for its turn; has its turn; calls, and has not told yet what came of it
FUTEX = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine)  # where Python's threads wait for each other
ERRNOS = {getattr(errno, name): name for name in dir(errno) if name[0] == "E" and name not in ("EWOULDBLOCK", "ENOTSUP", "EDEADLOCK")}


class Actor(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_int), ("tid", ctypes.c_int), ("state", ctypes.c_int), ("gone", ctypes.c_bool), ("stopped", ctypes.c_bool),
        ("killed", ctypes.c_int),  # the signal that ended it, as a parent heard it from wait
        ("turn", ctypes.c_long * 4), ("line", ctypes.c_char * @LINE@),  # sem_t; what came of its last step
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
        signal.alarm(@LONGER@)  # whatever becomes of the stage
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
    shown = [@TOLD@ for word in words]
    me.actor.line = " ".join(shown).encode()
    me.actor.state = WAITS
'''

MAIN = '''\
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
    resource.setrlimit(resource.RLIMIT_NOFILE, (@NUMBERS_MAX@, @NUMBERS_MAX@))
    for number in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    act(NAMES[0], @FIRST@)


def over(number, frame):
    """The time is up, or somebody asked for the end."""
    sys.exit("the time is up" if number == signal.SIGALRM else "interrupted")


def main():
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whoever loses a parent becomes a child of this process
    for actor in stage.actor:
        libc.sem_init(ctypes.byref(actor.turn), 1, 0)
@ENTER@    pid = os.fork()
    if pid == 0:
        first()
    stage.actor[0].pid = pid
    for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, over)
    signal.alarm(@SECONDS@)
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
@CLEAN@

if __name__ == "__main__":
    main()
'''
