/* needs: say_number */
#include <sys/socket.h>

static void tell_type(int value, const int *type);

static void tell_type(int value, const int *type)
{
	static const struct number names[] = {
@TYPE@
	};

	if (came(value))
		say_number(*type, names, sizeof(names) / sizeof(*names));
	done();
}
