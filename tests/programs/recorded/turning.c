/* What tracing gets wrong first: interrupted and restarted calls, stops, vfork, exec from a thread, a thread with a table
 * of its own, a process that lives on without its first thread, a child that asks not to be traced, a daemon. */
#include "pass.h"

#ifndef SYS_poll
#define SYS_poll SYS_ppoll
#endif

static int ends[2];
static volatile int *hits; /* shared: a child waits for its parent's handler */
static pthread_t first;

static void on(int number)
{
	*hits += number == SIGUSR1;
}

static void *reads(void *unused)
{
	char text[8];

	(void)unused;
	return (void *)read(ends[1], text, sizeof text);
}

static void *becomes(void *unused)
{
	(void)unused;
	execl("/bin/echo", "echo", "exec from a thread", (char *)NULL);
	return NULL;
}

static void *alone(void *unused)
{
	int fd;

	(void)unused;
	unshare(CLONE_FILES);
	fd = memfd_create("own", 0);
	pass(ends[0], fd);
	close(fd), close(ends[0]);
	return NULL;
}

static void *survives(void *unused)
{
	int fd;

	(void)unused;
	pthread_join(first, NULL);
	fd = memfd_create("survivor", 0);
	printf("passed by the survivor %d\n", pass(ends[0], fd));
	exit(3);
}

/* What a file of a process in /proc says. */
static const char *of(pid_t pid, const char *name, char text[256])
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	file = fopen(path, "r");
	if (!file || !fgets(text, 256, file))
		text[0] = 0;
	if (file)
		fclose(file);
	return text;
}

/* Waits until a process is in one of these states, and in this call unless that is -1: proc_pid_stat(5). */
static void until(pid_t pid, const char *states, long call)
{
	char text[256];
	const char *at;

	for (;; usleep(1000)) {
		if (call >= 0 && (!strchr(of(pid, "syscall", text), ' ') || strtol(text, NULL, 10) != call))
			continue;
		at = strrchr(of(pid, "stat", text), ')');
		if (at && strchr(states, at[2]))
			return;
	}
}

/* A child sends a signal once we sleep, and then some bytes. */
static int child_sends(long call, int number, int then)
{
	pid_t parent = getpid();
	int before = *hits, child = fork();

	if (child)
		return child;
	until(parent, "S", call);
	kill(parent, number);
	if (then)
		until(parent, "Tt", -1), kill(parent, then);
	while (number == SIGUSR1 && *hits == before)
		usleep(1000);
	_exit(write(ends[0], "late", 4) != 4);
}

static int status_of(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on };
	struct pollfd one;
	pthread_t threads[4];
	long sum = 0, came;
	char text[8];
	void *got;
	pid_t child;
	int status;

	setvbuf(stdout, NULL, _IONBF, 0);
	hits = mmap(NULL, sizeof *hits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pair(ends, SOCK_SEQPACKET);
	for (int i = 0; i < 4; i++)
		pthread_create(threads + i, NULL, reads, NULL);
	for (int i = 0; i < 4; i++)
		sum -= write(ends[0], "abcdefgh", i + 1) < 0;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], &got), sum += (long)got;
	printf("threads %ld\n", sum);

	sigaction(SIGUSR1, &action, NULL);
	child = child_sends(SYS_read, SIGUSR1, 0);
	came = read(ends[1], text, sizeof text);
	printf("interrupted %ld %s, hits %d, ", came, came < 0 ? strerror(errno) : "", *hits);
	printf("then %ld, child %d\n", (long)read(ends[1], text, sizeof text), status_of(child));
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &action, NULL);
	child = child_sends(SYS_read, SIGUSR1, 0);
	came = read(ends[1], text, sizeof text);
	printf("restarted %ld, hits %d, child %d\n", came, *hits, status_of(child));
	child = child_sends(SYS_poll, SIGSTOP, SIGCONT);
	one = (struct pollfd){ ends[1], POLLIN, 5000 };
	printf("poll over a stop %d\n", poll(&one, 1, 5000));
	printf("then %ld, child %d\n", (long)read(ends[1], text, sizeof text), status_of(child));

	child = fork();
	if (!child)
		raise(SIGSTOP), _exit(4);
	waitpid(child, &status, WUNTRACED);
	printf("stopped %d, ", WIFSTOPPED(status));
	kill(child, SIGCONT);
	printf("then %d\n", status_of(child));

	child = vfork();
	if (!child)
		execl("/bin/true", "true", (char *)NULL), _exit(9);
	printf("vfork %d\n", status_of(child));
	child = fork();
	if (!child)
		pthread_create(threads, NULL, becomes, NULL), pause();
	printf("exec %d\n", status_of(child));

	child = fork();
	if (!child) {
		pthread_create(threads, NULL, alone, NULL), pthread_join(threads[0], NULL);
		_exit(fcntl(ends[0], F_GETFD) < 0);
	}
	status = take(ends[1], 0);
	printf("of a table of its own %d, %d\n", status >= 0, status_of(child));
	close(status);
	child = fork();
	if (!child) {
		first = pthread_self();
		pthread_create(threads, NULL, survives, NULL), pthread_exit(NULL);
	}
	status = take(ends[1], 0);
	printf("without a first thread %d, %d\n", status >= 0, status_of(child));
	close(status);

	child = syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, NULL, NULL, NULL, NULL);
	if (!child)
		_exit(write(ends[0], "traced", 6) != 6);
	printf("untraced %ld, %d\n", (long)read(ends[1], text, sizeof text), status_of(child));

	child = fork();
	if (!child)
		abort();
	printf("aborted %d\n", status_of(child));
	child = fork();
	if (!child) {
		if (pipe(ends) || close(ends[0]))
			_exit(1);
		_exit(write(ends[1], "a", 1) < 0);
	}
	printf("broken pipe %d\n", status_of(child));
	close(ends[0]), close(ends[1]);

	pipe(ends);
	if (!fork()) {
		setsid();
		if (fork())
			_exit(0);
		_exit(write(ends[1], "daemon", 6) != 6);
	}
	close(ends[1]);
	printf("daemon %ld\n", (long)read(ends[0], text, 6));
	while (wait(NULL) > 0)
		;
	return 5;
}
