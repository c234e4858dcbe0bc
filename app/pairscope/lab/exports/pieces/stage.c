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
