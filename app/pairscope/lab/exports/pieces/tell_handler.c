/* needs: say */
#include <signal.h>

static void tell_handler(void (*before)(int));

static void tell_handler(void (*before)(int))
{
	if (came(before == SIG_ERR ? -1 : 0)) {
		me->line[0] = '\0';
		say("%s", before == SIG_DFL ? "SIG_DFL" : before == SIG_IGN ? "SIG_IGN" : "HANDLER");
	}
	done();
}
