/* needs: say, name_of */
#include <sys/types.h>
#include <sys/wait.h>

static void tell_child(pid_t pid, const int *status);

static void tell_child(pid_t pid, const int *status)
{
	if (came(pid)) {
		me->line[0] = '\0';
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
