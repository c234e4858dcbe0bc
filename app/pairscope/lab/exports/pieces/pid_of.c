#include <sys/types.h>

static pid_t pid_of(int who);           /* the number of a process */

static pid_t pid_of(int who)
{
	return stage->actor[who].pid;
}
