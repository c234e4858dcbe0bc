#include <sys/types.h>

/* The name of the process with this number. */
static const char *name_of(pid_t pid)
{
	for (int i = 0; i < ACTORS; i++)
		if (pid && stage->actor[i].pid == pid)
			return names[i];
	return pid ? "a process" : "0";
}
