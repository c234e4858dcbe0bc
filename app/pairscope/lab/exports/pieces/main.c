@SCRATCH@
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
	@CLEAN@
	exit(status);
}

/* A moment's rest between two looks. */
static void rest(void)
{
	if (over) {
		fprintf(stderr, over == SIGALRM ? "the time is up\n" : "interrupted\n");
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
	text[length < 0 ? 0 : length] = '\0';
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
		printf(": not possible\n");
		return false;
	}
	if (who->state == CALLS && !who->gone)
		printf(" blocks\n");
	else if (who->state == WAITS && who->line[0])
		printf(" %s %s\n", script[step].returned ? "returned" : "=", who->line);
	else if (killer(who) == 0)
		printf(": ended\n");
	else
		printf(": killed by %s\n", signal_name(killer(who)));
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
