"""The parts that C programs are put together of, beside the steps themselves: each as the program has it, and what it
needs."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    prototype: str
    """What the steps see of it, with a comment; empty: nothing."""
    body: str
    headers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


PIECES = {
    # What the lesson itself is about; these stand before the steps.
    "BADPTR": Piece(
        "",
        """\
/* An address that nothing is mapped at. It is volatile so that no compiler looks through it. */
static void *volatile BADPTR = (void *)1;
""",
    ),
    "nowhere": Piece(
        "",
        """\
/* No address at all; volatile so that no compiler looks through it. */
static void *volatile nowhere = NULL;
""",
    ),
    "handler": Piece(
        "",
        """\
/* A handler that does nothing: that it has run is enough to end a call with EINTR. */
static void handler(int number)
{
	(void)number;
}
""",
        ("signal.h",),
    ),
    "repeated": Piece(
        "",
        """\
/* The piece, so many times. */
static char *repeated(const char *piece, size_t length, size_t times)
{
	char *text = malloc(length * times);

	for (size_t i = 0; text && i < times; i++)
		memcpy(text + i * length, piece, length);
	return text;
}
""",
        ("stdlib.h", "string.h"),
    ),
    "attach": Piece(
        "",
        """\
/* Lays a control message beside the bytes of a message: its header, its data, and padding up to the next. cmsg(3) */
static struct cmsghdr *attach(struct msghdr *message, int type, const void *data, size_t length)
{
	alignas(struct cmsghdr) static _Thread_local char room[@ROOM@];
	struct cmsghdr *cmsg = (struct cmsghdr *)(room + message->msg_controllen);

	if (message->msg_controllen == 0)
		memset(room, 0, sizeof(room));
	message->msg_control = room;
	message->msg_controllen += CMSG_SPACE(length);
	cmsg->cmsg_len = CMSG_LEN(length);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = type;
	memcpy(CMSG_DATA(cmsg), data, length);
	return cmsg;
}
""",
        ("stdalign.h", "string.h", "sys/socket.h"),
    ),
    "received": Piece(
        "",
        """\
/* Takes the descriptors out of a message that has come; how many there are. They are open, wanted or not. cmsg(3) */
static int received(struct msghdr *message, int *fds, int most)
{
	int count = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || @RIGHTS@)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= cmsg->cmsg_len && count < most; at += sizeof(int))
			memcpy(&fds[count++], (char *)cmsg + at, sizeof(int));
	}
	return count;
}
""",
        ("string.h", "sys/socket.h"),
    ),
    "keeps": Piece(
        "",
        """\
/* Whether a call with MSG_TRUNC writes anything: TCP counts what is asked for, and copies nothing. tcp(7) */
static bool keeps(int number)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return getsockopt(number, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_TCP;
}
""",
        ("netinet/in.h", "stdbool.h", "sys/socket.h"),
    ),
    # What the steps tell; these stand behind them.
    "stay": Piece(
        "static _Noreturn void stay(void);       /* keeps all descriptors until the end */",
        """\
static _Noreturn void stay(void)
{
	for (;;)
		pause();
}
""",
        ("unistd.h",),
    ),
    "say": Piece(
        "",
        """\
/* Adds to the line of the step that is under way. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	size_t used = strlen(me->line);
	va_list list;

	va_start(list, format);
	vsnprintf(me->line + used, sizeof(me->line) - used, format, list);
	va_end(list);
}

/* Begins the line. False: the call has failed, errno says why, and there is no more to tell. */
static bool came(long value)
{
	int error = errno;
	const char *name = strerrorname_np(error);

	me->line[0] = '\\0';
	if (value != -1)
		say("%ld", value);
	else if (name)
		say("-1 %s", name);
	else
		say("-1 %d", error);
	return value != -1;
}

static void done(void)
{
	me->state = WAITS;
}
""",
        ("errno.h", "stdarg.h", "stdbool.h", "stdio.h", "string.h"),
    ),
    "tell": Piece(
        "static void tell(long value);",
        """\
static void tell(long value)
{
	came(value);
	done();
}
""",
        (),
        ("say",),
    ),
    "tell_fd": Piece(
        "static void tell_fd(long value, int *name);",
        """\
static void tell_fd(long value, int *name)
{
	if (came(value))
		*name = (int)value;
	done();
}
""",
        (),
        ("say",),
    ),
    "tell_pair": Piece(
        "static void tell_pair(int value, const int *pair, int *first, int *second);",
        """\
static void tell_pair(int value, const int *pair, int *first, int *second)
{
	if (came(value)) {
		say(" [%d, %d]", pair[0], pair[1]);
		*first = pair[0];
		*second = pair[1];
	}
	done();
}
""",
        (),
        ("say",),
    ),
    "tell_birth": Piece(
        "static void tell_birth(int who, pid_t pid);",
        """\
static void tell_birth(int who, pid_t pid)
{
	if (came(pid)) {
		stage->actor[who].pid = pid;
		me->line[0] = '\\0';
		say("%s", names[who]);
	}
	done();
}
""",
        ("sys/types.h",),
        ("say",),
    ),
    "tell_thread": Piece(
        "static void tell_thread(int who, int error);",
        """\
static void tell_thread(int who, int error)
{
	errno = error;
	if (came(error ? -1 : 0))
		stage->actor[who].pid = getpid();
	done();
}
""",
        ("errno.h", "unistd.h"),
        ("say",),
    ),
    "say_data": Piece(
        "",
        """\
/* The first @SHOWN@ bytes in quotes. */
static void say_data(const char *data, size_t length)
{
	say(" \\"");
	for (size_t i = 0; i < length && i < @SHOWN@; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte == '"' || byte == '\\\\')
			say("\\\\%c", byte);
		else if (byte == '\\n')
			say("\\\\n");
		else
			say(byte >= ' ' && byte <= '~' ? "%c" : "\\\\x%02x", byte);
	}
	say(length > @SHOWN@ ? "\\"..." : "\\"");
}
""",
        (),
        ("say",),
    ),
    "tell_data": Piece(
        "static void tell_data(ssize_t value, const char *data);",
        """\
static void tell_data(ssize_t value, const char *data)
{
	if (came(value))
		say_data(data, (size_t)value);
	done();
}
""",
        ("sys/types.h",),
        ("say_data",),
    ),
    "tell_cut": Piece(
        "static void tell_cut(ssize_t value, const char *data, size_t room);",
        """\
/* The length may be more than there was room for. Without data: the kernel copied none. */
static void tell_cut(ssize_t value, const char *data, size_t room)
{
	if (came(value) && (data || value == 0))
		say_data(data, (size_t)value < room ? (size_t)value : room);
	done();
}
""",
        ("sys/types.h",),
        ("say_data",),
    ),
    "name_of": Piece(
        "",
        """\
/* The name of the process with this number. */
static const char *name_of(pid_t pid)
{
	for (int i = 0; i < ACTORS; i++)
		if (pid && stage->actor[i].pid == pid)
			return names[i];
	return pid ? "a process" : "0";
}
""",
        ("sys/types.h",),
    ),
    "say_creds": Piece(
        "",
        """\
/* Of numbers that differ from run to run, what they are. */
static void say_creds(const char *key, const void *data)
{
	struct ucred creds;

	memcpy(&creds, data, sizeof(creds));
	say(" %s=[%s, %s, %s]", key, name_of(creds.pid), creds.uid == (uid_t)-1 ? "-1" : "uid", creds.gid == (gid_t)-1 ? "-1" : "gid");
}
""",
        ("string.h", "sys/socket.h"),
        ("say", "name_of"),
    ),
    "say_bits": Piece(
        "",
        """\
struct bit {
	unsigned int number;
	const char *name;
};

/* A number as the names of its bits. */
static void say_bits(unsigned int value, const struct bit *bits, size_t count)
{
	const char *between = "";

	if (value == 0)
		say("0");
	for (size_t i = 0; i < count; i++) {
		if ((value & bits[i].number) == bits[i].number) {
			say("%s%s", between, bits[i].name);
			between = "|";
			value &= ~bits[i].number;
		}
	}
	if (value)
		say("%s0x%x", between, value);
}
""",
        (),
        ("say",),
    ),
    "say_number": Piece(
        "",
        """\
struct number {
	int number;
	const char *name;
};

/* A number by its name, or in digits. */
static void say_number(int value, const struct number *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (value == names[i].number) {
			say(" value=%s", names[i].name);
			return;
		}
	}
	say(" value=%d", value);
}
""",
        (),
        ("say",),
    ),
    "tell_message": Piece(
        "static void tell_message(ssize_t value, struct msghdr *message, ...);",
        """\
static void tell_message(ssize_t value, struct msghdr *message, ...)
{
	static const struct bit bits[] = {
@MESSAGE_FLAGS@
	};
	char text[@SHOWN@ + 1];
	size_t length = 0, left = value > 0 ? (size_t)value : 0;
	int fds[@MOST_FDS@], count;
	va_list list;

	if (!came(value)) {
		done();
		return;
	}
	for (size_t i = 0; message->msg_iov && i < message->msg_iovlen; i++) {
		const struct iovec *piece = &message->msg_iov[i];
		size_t held = left < piece->iov_len ? left : piece->iov_len;
		size_t kept = held < sizeof(text) - length ? held : sizeof(text) - length;

		memcpy(text + length, piece->iov_base, kept);
		length += kept;
		left -= held;
	}
	if (message->msg_iov || message->msg_iovlen == 0 || value == 0)
		say_data(text, length);
	say(" flags=");
	say_bits((unsigned int)message->msg_flags & ~(unsigned int)MSG_CMSG_CLOEXEC, bits, sizeof(bits) / sizeof(*bits));
	count = received(message, fds, @MOST_FDS@);
	for (int i = 0; i < count; i++)
		say("%s%d%s", i ? ", " : " fds=[", fds[i], i + 1 < count ? "" : "]");
	va_start(list, message);
	for (int i = 0, *name; (name = va_arg(list, int *)) && i < count; i++)
		*name = fds[i];
	va_end(list);
@CREDS@	done();
}
""",
        ("stdarg.h", "string.h", "sys/socket.h", "sys/uio.h"),
        ("say_data", "say_bits", "received"),
    ),
    "tell_poll": Piece(
        "static void tell_poll(int value, const struct pollfd *fds, int count);",
        """\
static void tell_poll(int value, const struct pollfd *fds, int count)
{
	static const struct bit bits[] = {
@EVENTS@
	};

	if (came(value)) {
		say(" revents=[");
		for (int i = 0; i < count; i++) {
			say("%s", i ? ", " : "");
			say_bits((unsigned short)fds[i].revents, bits, sizeof(bits) / sizeof(*bits));
		}
		say("]");
	}
	done();
}
""",
        ("poll.h",),
        ("say_bits",),
    ),
    "tell_child": Piece(
        "static void tell_child(pid_t pid, const int *status);",
        """\
static void tell_child(pid_t pid, const int *status)
{
	if (came(pid)) {
		me->line[0] = '\\0';
		say("%s", name_of(pid));
		if (pid && WIFEXITED(*status))
			say(" status=%d", WEXITSTATUS(*status));
		if (pid && WIFSIGNALED(*status)) {
			say(" killed=%s", signal_name(WTERMSIG(*status)));
			for (int i = 0; i < ACTORS; i++)
				if (stage->actor[i].pid == pid)
					stage->actor[i].killed = WTERMSIG(*status);
		}
		if (pid && WIFSTOPPED(*status))
			say(" stopped=%s", signal_name(WSTOPSIG(*status)));
		if (pid && WIFCONTINUED(*status))
			say(" continued=SIGCONT");
	}
	done();
}
""",
        ("sys/types.h", "sys/wait.h"),
        ("say", "name_of"),
    ),
    "LARGEFILE": Piece(
        "",
        """\
/* The kernel's O_LARGEFILE. The C library has 0 for it on machines of 64 bits. */
#ifdef __aarch64__
#define LARGEFILE 0400000
#else
#define LARGEFILE 0100000
#endif
""",
    ),
    "tell_status_flags": Piece(
        "static void tell_status_flags(int value);",
        """\
/* The access is a number of its own, and flags are joined to it. fcntl(2) */
static void tell_status_flags(int value)
{
	static const char *const access[] = { @ACCESS@ };
	static const struct bit bits[] = {
@STATUS_FLAGS@
	};

	if (came(value)) {
		me->line[0] = '\\0';
		say("%s", access[value & O_ACCMODE]);
		if (value & ~O_ACCMODE) {
			say("|");
			say_bits((unsigned int)(value & ~O_ACCMODE), bits, sizeof(bits) / sizeof(*bits));
		}
	}
	done();
}
""",
        ("fcntl.h",),
        ("LARGEFILE", "say_bits"),
    ),
    "tell_descriptor_flags": Piece(
        "static void tell_descriptor_flags(int value);",
        """\
static void tell_descriptor_flags(int value)
{
	static const struct bit bits[] = {
@DESCRIPTOR_FLAGS@
	};

	if (came(value)) {
		me->line[0] = '\\0';
		say_bits((unsigned int)value, bits, sizeof(bits) / sizeof(*bits));
	}
	done();
}
""",
        ("fcntl.h",),
        ("say_bits",),
    ),
    "tell_seals": Piece(
        "static void tell_seals(int value);",
        """\
static void tell_seals(int value)
{
	static const struct bit bits[] = {
@SEALS@
	};

	if (came(value)) {
		me->line[0] = '\\0';
		say_bits((unsigned int)value, bits, sizeof(bits) / sizeof(*bits));
	}
	done();
}
""",
        ("fcntl.h",),
        ("say_bits",),
    ),
    "tell_type": Piece(
        "static void tell_type(int value, const int *type);",
        """\
static void tell_type(int value, const int *type)
{
	static const struct number names[] = {
@TYPE@
	};

	if (came(value))
		say_number(*type, names, sizeof(names) / sizeof(*names));
	done();
}
""",
        ("sys/socket.h",),
        ("say_number",),
    ),
    "tell_family": Piece(
        "static void tell_family(int value, const int *family);",
        """\
static void tell_family(int value, const int *family)
{
	static const struct number names[] = {
@FAMILY@
	};

	if (came(value))
		say_number(*family, names, sizeof(names) / sizeof(*names));
	done();
}
""",
        ("sys/socket.h",),
        ("say_number",),
    ),
    "tell_protocol": Piece(
        "static void tell_protocol(int value, const int *protocol);",
        """\
static void tell_protocol(int value, const int *protocol)
{
	static const struct number names[] = {
@PROTOCOL@
	};

	if (came(value))
		say_number(*protocol, names, sizeof(names) / sizeof(*names));
	done();
}
""",
        ("netinet/in.h", "sys/socket.h"),
        ("say_number",),
    ),
    "tell_error": Piece(
        "static void tell_error(int value, const int *error);",
        """\
static void tell_error(int value, const int *error)
{
	const char *name;

	if (came(value)) {
		name = *error ? strerrorname_np(*error) : NULL;
		if (name)
			say(" value=%s", name);
		else
			say(" value=%d", *error);
	}
	done();
}
""",
        ("string.h", "sys/socket.h"),
        ("say",),
    ),
    "tell_option": Piece(
        "static void tell_option(int value, const void *option, const socklen_t *length);",
        """\
static void tell_option(int value, const void *option, const socklen_t *length)
{
	if (came(value)) {
		size_t size = *length == 8 || *length == 16 ? sizeof(int64_t) : sizeof(int);
		bool list = *length != sizeof(int);

		say(list ? " value=[" : " value=");
		for (size_t i = 0; i < *length / size; i++) {
			int64_t wide;
			int narrow;

			memcpy(&narrow, (const char *)option + i * size, sizeof(narrow));
			if (size == sizeof(wide))
				memcpy(&wide, (const char *)option + i * size, sizeof(wide));
			say("%s%lld", i ? ", " : "", size == sizeof(wide) ? (long long)wide : narrow);
		}
		say("%s", list ? "]" : "");
	}
	done();
}
""",
        ("stdint.h", "string.h", "sys/socket.h"),
        ("say",),
    ),
    "tell_peer": Piece(
        "static void tell_peer(int value, const struct ucred *peer);",
        """\
static void tell_peer(int value, const struct ucred *peer)
{
	if (came(value))
		say_creds("value", peer);
	done();
}
""",
        ("sys/socket.h",),
        ("say", "say_creds"),
    ),
    "tell_handler": Piece(
        "static void tell_handler(void (*before)(int));",
        """\
static void tell_handler(void (*before)(int))
{
	if (came(before == SIG_ERR ? -1 : 0)) {
		me->line[0] = '\\0';
		say("%s", before == SIG_DFL ? "SIG_DFL" : before == SIG_IGN ? "SIG_IGN" : "HANDLER");
	}
	done();
}
""",
        ("signal.h",),
        ("say",),
    ),
    "datagrams": Piece(
        "",
        """\
/* Whether a socket is of UDP: its ports are others than those of TCP. */
static bool datagrams(int number)
{
	int type = 0;
	socklen_t length = sizeof(type);

	return getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}
""",
        ("sys/socket.h",),
    ),
    "tell_bound": Piece(
        "static void tell_bound(int value, int number);",
        """\
static void tell_bound(int value, int number)
{
	struct sockaddr_in6 address;    /* larger than sockaddr_in, and the port stands at the same place */
	socklen_t length = sizeof(address);

	if (came(value) && getsockname(number, (struct sockaddr *)&address, &length) == 0)
		stage->port[address.sin6_family == AF_INET6][datagrams(number)] = address.sin6_port;
	done();
}
""",
        ("netinet/in.h", "sys/socket.h"),
        ("say", "datagrams"),
    ),
    "bound_port": Piece(
        "static in_port_t bound_port(int family, int number); /* that the last bind of such a socket was given */",
        """\
static in_port_t bound_port(int family, int number)
{
	return (in_port_t)stage->port[family == AF_INET6][datagrams(number)];
}
""",
        ("netinet/in.h",),
        ("datagrams",),
    ),
    "pid_of": Piece(
        "static pid_t pid_of(int who);           /* the number of a process */",
        """\
static pid_t pid_of(int who)
{
	return stage->actor[who].pid;
}
""",
        ("sys/types.h",),
    ),
}
"""In the order in which they stand in a program."""

CREDENTIALS = """\
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg))
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS && cmsg->cmsg_len == CMSG_LEN(sizeof(struct ucred)))
			say_creds("creds", CMSG_DATA(cmsg));
"""
"""What tell_message has where credentials may come."""

BEFORE = ("BADPTR", "nowhere", "handler", "repeated", "attach", "received", "keeps")
"""Pieces that stand before the steps."""

PROTOTYPES = """\
/* From the stage, at the end of this file. */
static void begin(int who);             /* takes a process, or a thread, into the play */
static void turn(int step);             /* waits until it is this step's turn */
"""

TOLD = """\
/* What the call returned (-1: and errno), and what it gave beside that. Here a descriptor gets its name. */
"""

STAGE = """\
/*
 * The stage, which is not part of the lesson. main() forks the first process and then gives the turns: it waits until a step is
 * done, or until the kernel says that whoever takes it sleeps in its call, and prints the line. It stands aside, in a
 * process of its own, and shares memory with the others: none of them holds a descriptor for it.
 */

/* Where an actor is: it is BORN; it WAITS for its turn; it has its TURN; it CALLS, and has not told yet what came of it. */
enum { BORN, WAITS, TURN, CALLS };

static struct stage {
	struct actor {
		pid_t pid, tid;
		atomic_int state;
		sem_t turn;
		bool gone, stopped;
		int killed;             /* the signal that ended it, as a parent heard it from wait() */
		const char *made;       /* its last call */
		char line[@LINE@];         /* what came of its last step */
	} actor[ACTORS];
	atomic_int step;@PORT@
} *stage;

static _Thread_local struct actor *me;

static const char *const names[] = { @NAMES@ };

/* The steps in their order. */
static const struct {
	int who;
	const char *call;
	int patience;           /* milliseconds that it may sleep, before it is said to block */
	bool returned;          /* it is no call, but the return of one that blocked */
} script[] = {
@SCRIPT@
};
"""

ACTING = """\
/* SIGPIPE for 13, SIGRTMIN+1 for 35. */
static const char *signal_name(int number)
{
	static _Thread_local char text[24];
	const char *name = number == SIGIO ? "IO" : number == SIGRTMIN ? "RTMIN" : number == SIGRTMAX ? "RTMAX" : number < SIGRTMIN ? sigabbrev_np(number) : NULL;

	if (name)
		snprintf(text, sizeof(text), "SIG%s", name);
	else if (number > SIGRTMIN && number < SIGRTMAX)
		snprintf(text, sizeof(text), "SIGRTMIN+%d", number - SIGRTMIN);
	else
		snprintf(text, sizeof(text), "signal %d", number);
	return text;
}

static void begin(int who)
{
	me = &stage->actor[who];
	me->tid = gettid();
	if (me->tid == getpid())
		alarm(@LONGER@);              /* whatever becomes of main() */
	me->state = WAITS;
}

static void turn(int step)
{
	while (stage->step != step || me->state != TURN)
		sem_wait(&me->turn);
	me->state = CALLS;
}
"""

MAIN = """\
static volatile sig_atomic_t over;

static void end(int number)
{
	over = number;
}

/* Kills and reaps whoever is left@SCRATCH_WORDS@. */
static _Noreturn void finish(int status)
{
	for (int i = 0; i < ACTORS; i++)
		if (stage->actor[i].pid > 0 && !stage->actor[i].gone)
			kill(stage->actor[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
@CLEAN@	exit(status);
}

/* A moment's rest between two looks. */
static void rest(void)
{
	if (over) {
		fprintf(stderr, over == SIGALRM ? "the time is up\\n" : "interrupted\\n");
		finish(1);
	}
	nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* Reads a file of /proc about an actor; false: there is none. */
static bool look(const struct actor *who, const char *file, char *text, size_t room)
{
	char path[64];
	ssize_t length;
	int in;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", who->pid, who->tid, file);
	in = open(path, O_RDONLY | O_CLOEXEC);
	length = in < 0 ? -1 : read(in, text, room - 1);
	text[length < 0 ? 0 : length] = '\\0';
	if (in >= 0)
		close(in);
	return length > 0;
}

/* Whether an actor stands still: asleep at its turn or in its call, or gone. proc_pid_syscall(5), proc_pid_stat(5) */
static bool still(struct actor *who)
{
	char text[1024], *state;

	if (who->pid <= 0 || who->gone)
		return true;
	if (who->state != WAITS && who->state != CALLS)
		return false;
	if (look(who, "syscall", text, sizeof(text)) && text[0] == 'r')
		return false;                   /* "running" */
	state = look(who, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
	who->gone = !state || state[2] == 'Z' || state[2] == 'X';
	who->stopped = state && state[2] == 'T';
	return who->gone || who->stopped || state[2] == 'S';
}

/* Waits until all stand still at two looks, one after the other: at the first, one may have been waking another. */
static void settle(void)
{
	for (int calm = 0, i; calm < 2; calm = i < ACTORS ? 0 : calm + 1) {
		for (i = 0; i < ACTORS && still(&stage->actor[i]); i++)
			;
		if (i < ACTORS)
			rest();
	}
}

/* The signal that has killed an actor; 0: none, or nobody can see any more. */
static int killer(const struct actor *who)
{
	char text[1024], *last;

	last = look(&(struct actor){ .pid = who->pid, .tid = who->pid }, "stat", text, sizeof(text)) ? strrchr(text, ' ') : NULL;
	return last && strstr(text, ") Z ") ? atoi(last) & 0x7f : who->killed;
}

/* Gives one step its turn, and prints what came of it. False: it cannot be taken, and nothing after it. */
static bool play(int step)
{
	struct actor *who = &stage->actor[script[step].who];
	bool possible;

	printf("%d %s %s", step + 1, names[script[step].who], script[step].call);
	if (script[step].returned)
		possible = who->made && strcmp(who->made, script[step].call) == 0;
	else
		possible = who->pid > 0 && !who->gone && !who->stopped && who->state == WAITS;
	if (possible && !script[step].returned) {
		who->made = script[step].call;
		stage->step = step + 1;
		who->state = TURN;
		sem_post(&who->turn);
	}
	settle();
	for (int tenth = 0; tenth < script[step].patience * 10 && who->state == CALLS && !who->gone; tenth++) {
		rest();
		settle();
	}
	if (!possible || (script[step].returned && who->state == CALLS && !who->gone)) {
		printf(": not possible\\n");
		return false;
	}
	if (who->state == CALLS && !who->gone)
		printf(" blocks\\n");
	else if (who->state == WAITS && who->line[0])
		printf(" %s %s\\n", script[step].returned ? "returned" : "=", who->line);
	else if (killer(who) == 0)
		printf(": ended\\n");
	else
		printf(": killed by %s\\n", signal_name(killer(who)));
	fflush(stdout);
	return true;
}

int main(void)
{
	struct rlimit most = { @NUMBERS_MAX@, @NUMBERS_MAX@ };
	pid_t first;

	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stage == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1)@ENTER@) {
		perror("the stage");
		return 1;
	}
	for (int i = 0; i < ACTORS; i++)
		sem_init(&stage->actor[i].turn, 1, 0);

	first = fork();
	if (first == 0) {
		/* Numbers, limits and signals are the same whoever starts the program. */
		for (int number = 0, null = open("/dev/null", O_RDWR); number < 3; number++)
			dup2(null, number);
		close_range(3, ~0U, 0);
		setrlimit(RLIMIT_NOFILE, &most);
		setpgid(0, 0);                  /* SIGTSTP does nothing in a group whose parents are all of another session */
		for (int number = 1; number < 32; number++)
			signal(number, SIG_DFL);
		@FIRST@();
	}
	stage->actor[0].pid = first;
	signal(SIGALRM, end);
	signal(SIGINT, end);
	signal(SIGTERM, end);
	alarm(@SECONDS@);
	settle();

	for (size_t step = 0; step < sizeof(script) / sizeof(*script); step++)
		if (!play((int)step))
			finish(1);
	finish(0);
}
"""
