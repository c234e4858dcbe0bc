"""What the processes of a pool say in words: sentences with names for their values. Pure.

The supervisor's answers beside why it refuses (vocabulary.REFUSALS), why something came to its end, why a peer is not
trusted, what is waited for. They travel and are recorded filled, in English; pages and the command line know them again
by this list and translate them (app/pairscope/recorded.py). So what was recorded once is not reworded: a new sentence
is written beside it.
"""

from __future__ import annotations

import enum
from typing import Any


class Template(enum.StrEnum):
    """A sentence. Its values have the forms that app/pairscope/recorded.py expects of their names; `why`, `fault` and
    `how` may be such a sentence again."""

    def say(self, **values: Any) -> str:
        """The sentence with its values."""
        return self.value % values


IN_RESULTS = frozenset(("note", "reason", "turned"))
"""Names in the result of a job whose values are such sentences."""


class Answered(Template):
    """What the supervisor says to a request."""

    # the particulars of a refusal
    KINDS = "Known are: %(names)s."
    QUEUE = "At most %(most)s may, with at most %(bytes)s bytes together."
    JOURNAL = "Its bound is %(bytes)s bytes; jobs that run are not affected."
    BYTES = "At most %(bytes)s bytes."
    CAME = "%(kind)s came: %(why)s."
    HANDS_ALONE = "it is for a worker or a lab station to send"
    NO_ANSWER = "nobody here has an answer to it"
    TOGETHER = "They have %(bytes)s, this one %(count)s."
    WITH_DESCRIPTOR = "At most %(most)s with a descriptor may."
    ONE_CLIENT = "Of one client at most %(most)s may."
    ONE_CLIENTS_BYTES = "Those of one client may have %(most)s bytes; they have %(bytes)s, this one %(count)s."
    SCENARIOS = "Of scenarios at most %(most)s may."
    WANT = "want is %(number)s; expected 1, 2 or 3."
    PARAMETERS = "Its parameters cannot be recorded: %(why)s."
    INPUT_OPEN = "The input is a %(object)s open for %(access)s; expected a file open for reading."
    INPUT_WRITABLE = "The input can be written to; expected a read-only file or a sealed memfd."
    INPUT_FOREIGN = (
        "The input is on a file system that may make its holder wait, such as a FUSE or a file server's; expected one "
        "of this machine's own. Copy the file there first."
    )
    INPUT_BYTES = "The input has %(bytes)s."
    NOT_ENDED = "It has not ended."
    NOT_OPENED = "It could not be opened: %(fault)s."
    ALIVE = "Alive: %(serials)s."
    NONE_ALIVE = "None is alive."
    SIGNAL = "The signal is %(value)s; expected %(names)s."
    WORKERS = "%(count)s workers are asked for; expected 1 to %(most)s."

    # what was done
    ENDED_BEFORE = "The job had ended before: %(state)s."
    BEFORE_IT_BEGAN = "The job was cancelled before it began."
    STATION_KILLS = "Lab station %(count)s kills the run."
    WORKER_KILLED = "Worker %(count)s is being killed for it."
    TOO_QUICK = "The job takes microseconds and is on its way: it will have ended before it could be cancelled."
    SIGNALLED = "%(signal)s was sent to worker %(count)s (pid %(pid)s)."
    SCALED = "The pool goes from %(count)s to %(most)s workers, until it is started again."

    # at the control socket
    USER = "user %(number)s may not connect to the pool"
    FULL = "the pool has no descriptor left for another client"
    CONNECTIONS = "user %(number)s holds %(count)s connections to the pool; at most %(most)s may be"
    HASTY = (
        "clients of user %(number)s came for nothing one after the other, and %(most)s wait to come in; try again in a "
        "moment"
    )


class State(Template):
    """How a job, a recorder or a supervisor stands, in a sentence."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STALLED = "stalled"
    AWAY = "away"
    DEAD = "dead"


class Waits(Template):
    """What the recorder waits for, or the supervisor of it."""

    NOT_HEARD = "not heard of yet"
    NOT_ASKED = "not asked yet"
    STOPPED = "a signal has stopped it; SIGCONT lets it go on"
    NOTHING_COMMITTED = "for %(seconds)s s it has committed nothing, and %(count)s records wait"
    JOURNAL = "the journal cannot be read: %(fault)s"
    NEWER = "the journal holds what this version cannot read behind position %(count)s: %(fault)s"
    ASIDE = "what the journal has damaged cannot be set aside: %(fault)s"
    ANOTHER = "the database refuses record %(count)s: %(why)s"
    TAKEN = "waiting for another record, to see whether that one is taken"
    MANY = "the database refuses %(most)s records one after the other; the last, %(count)s: %(why)s"
    EVERY = "the database refuses every record; the last, %(count)s: %(why)s"
    UNFIT = "%(value)s does not fit the column %(name)s of %(names)s"
    CRAMPED = "%(path)s cannot be written to: %(fault)s"


class Broken(Template):
    """What came over a pair and does not fit, or cannot be sent over it."""

    PACKET = "the packet was truncated (msg_flags %(number)s); %(count)s descriptors were closed"
    CONTROL = "the control message was truncated (msg_flags %(number)s); %(count)s descriptors were closed"
    SEVERAL = "a packet of %(count)s messages with %(number)s descriptors; several come without any, at most %(most)s"
    FOREIGN = "what came does not fit the vocabulary: %(fault)s"
    STRAY = "%(kind)s may not arrive here"
    STRAY_NUMBER = "kind %(number)s may not arrive here"
    CLOSED = "the peer has closed its end"
    NO_ROOM = "no room for %(kind)s within the time"
    TOO_MANY = "%(kind)s carries at most %(most)s descriptors, not %(count)s"
    TOO_LONG = "the payload has %(bytes)s bytes; at most %(most)s can travel"
    ANNOUNCED = "%(kind)s announced %(count)s descriptors (at most %(most)s), %(number)s came"
    UNSEALED = "a long payload came in a memfd that is not sealed"
    NOT_LENT = "%(kind)s announced a reply in a spare that it was not lent"
    LENGTH = "a long payload announced %(bytes)s bytes, its memfd has %(count)s"
    UNREADABLE = "a long payload cannot be read: %(fault)s"
    HELLO = "a hello that nobody waits for"
    SANDBOX = (
        "the particulars of its sandbox have %(bytes)s bytes or are nested deeply; expected at most %(most)s, "
        "nearly flat"
    )
    NO_JSON = "what it said cannot be written as JSON: %(fault)s"
    NOT_ITS = "%(kind)s came, and %(why)s"
    NO_TASK = "a result for job %(job)s, which it has not in hand"
    NAMELESS = "%(kind)s came before the client had said what it is"
    NO_LIVE = "a client that is %(name)s reports a viewer; expected live"
    NAME = "a client calls itself %(name)s; expected web, live, lab or tool, once"


class Gone(Template):
    """How a process ended, and why a peer was let go."""

    ENDED = "ended"
    EXITED = "exited %(status)s"
    KILLED = "killed by %(signal)s"
    KILLED_NUMBER = "killed by signal %(number)s"
    DUMPED = "killed by %(signal)s (core dumped)"
    DUMPED_NUMBER = "killed by signal %(number)s (core dumped)"
    FOR_FAULT = "killed by SIGKILL, for its fault: %(why)s"
    FOR_JOB = "killed by SIGKILL, for job %(job)s: %(why)s"
    TO_CANCEL = "killed by SIGKILL, to cancel job %(job)s"
    CLOSED = "closed its end"
    STOPPED = "stopped"
    DIED = "died"
    ASKED = "asked to finish"
    POOL_STOPPING = "the pool is stopping"
    POOL_STOPPED = "the pool stopped"
    NOT_WANTED = "it is no longer wanted"
    FOUND = "epoch %(count)s found it gone"
    WITH_SUPERVISOR = "gone with the supervisor"
    PAIR = "its pair ended with supervisor %(count)s"
    CANCELLED = "job %(job)s was cancelled"
    LATE = "job %(job)s exceeded its deadline"
    SILENT = "it did not say within %(seconds)s s what it is"
    MESSAGES = "it read nothing while %(most)s messages waited"
    UNREPORTED = "it reported nothing of %(most)s messages"
    OUTPUTS = "it reported nothing of %(most)s outputs"
    BYTES = "it read nothing while %(bytes)s bytes waited for it; at most %(most)s may"
    DESCRIPTORS = "it read or reported nothing while %(count)s descriptors waited; at most %(most)s may"
    MOST_BYTES = (
        "it read nothing while %(bytes)s bytes waited for it, the most of all %(count)s that wait; at most %(most)s may"
    )
    MOST_DESCRIPTORS = (
        "it read or reported nothing while %(first)s descriptors waited for it, the most of all %(count)s that wait; "
        "at most %(most)s may"
    )
    FOREIGN = "it passed %(count)s descriptors whose close may wait; at most %(most)s may be"
    FOREIGN_USER = "descriptors whose close may wait came from user %(number)s; %(count)s are kept, at most %(most)s"


class Unsent(Template):
    """Why a message was not sent, or nobody will say what became of it."""

    CLOSED = "%(peer)s had closed its end"
    SENDMSG = "sendmsg to %(peer)s: %(fault)s"
    SENDMSG_TO_IT = "sendmsg to it failed: %(fault)s"
    CANNOT = "%(kind)s cannot be sent to it: %(why)s"
    PEER = "%(peer)s: %(why)s"
    UNREPORTED = "%(who)s %(count)s ended before it reported"
    SUPERVISOR = "the supervisor of epoch %(count)s %(how)s before the outcome was known"


class Undone(Template):
    """Why a job was not done, and why its output is not kept."""

    THROUGH = "through %(who)s %(count)s"
    DEADLINE = "it exceeded its deadline of %(seconds)s s"
    GRACE = "the pool stopped and waited %(seconds)s s for it"
    WORKER_KILLED = "worker %(count)s was killed for it"
    CHANNEL_CLOSED = "its channel was closed for it"
    DIED = "%(who)s %(count)s died with the job in hand: %(why)s"
    NOT_BEGUN = "the pool stopped before it began"
    NOT_GIVEN = "it could not be given to a worker: %(why)s"
    NO_REASON = "the worker gave no reason"
    ANSWER = "its answer cannot be recorded: %(why)s"
    RESULT = "a result of %(bytes)s bytes; at most %(most)s are recorded"
    QUEUED = "the supervisor of epoch %(count)s %(how)s while the job was queued"
    RUNNING = "the supervisor of epoch %(count)s %(how)s while the job was running"

    # its output
    UNSEALED = "its output could not be sealed: %(fault)s"
    TOO_LARGE = "its output has %(bytes)s bytes; at most %(most)s are kept"
    KEPT = "kept for %(seconds)s s, as long as outputs are"
    NEWER_BYTES = "newer outputs needed its place: at most %(bytes)s bytes are kept"
    NEWER = "newer outputs needed its place: at most %(most)s are kept, each is a descriptor"
    OUTPUT = "the supervisor of epoch %(count)s %(how)s, and kept it no longer"


class Unproved(Template):
    """Why two numbers of descriptors were not proved to be one open file description, by kcmp(2)."""

    NO_KCMP = "the number of kcmp on %(name)s is not known here"
    ORDERED = "kcmp orders them (%(number)s): two open file descriptions"
    NO_RIGHT = "no permission to look into process %(pid)s (ptrace access, kcmp(2))"
    NO_PROCESS = "process %(pid)s has gone"
    NO_DESCRIPTOR = "process %(pid)s had closed its descriptor %(count)s"
    NOT_BUILT = "this kernel was built without kcmp"
    FAILED = "kcmp failed: %(fault)s"
    UNREPORTED = "its number was not reported"
    NOT_ARRIVED = "the descriptor did not arrive"
    UNTOLD = "Apache does not tell its number, and closes it at once"
    SUPERVISOR = "the supervisor of epoch %(count)s %(how)s before the proof was made"
