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
