#include <signal.h>

/* A handler that does nothing: that it has run is enough to end a call with EINTR. */
static void handler(int number)
{
	(void)number;
}
