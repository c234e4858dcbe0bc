/* needs: say */
#include <string.h>
#include <sys/socket.h>

static void tell_error(int value, const int *error);

static void tell_error(int value, const int *error)
{
	const char *name;

	if (came(value)) {
		name = *error ? strerrorname_np(*error) : NULL;
		if (name)
			say(" value=%s", name);
		else
			say(" value=%d", *error);
	}
	done();
}
