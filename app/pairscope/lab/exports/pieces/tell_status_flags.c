/* needs: LARGEFILE, say_bits */
#include <fcntl.h>

static void tell_status_flags(int value);

/* The access is a number of its own, and flags are joined to it. fcntl(2) */
static void tell_status_flags(int value)
{
	static const char *const access[] = { @ACCESS@ };
	static const struct bit bits[] = {
@STATUS_FLAGS@
	};

	if (came(value)) {
		me->line[0] = '\0';
		say("%s", access[value & O_ACCMODE]);
		if (value & ~O_ACCMODE) {
			say("|");
			say_bits((unsigned int)(value & ~O_ACCMODE), bits, sizeof(bits) / sizeof(*bits));
		}
	}
	done();
}
