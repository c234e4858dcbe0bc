#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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

	me->line[0] = '\0';
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
