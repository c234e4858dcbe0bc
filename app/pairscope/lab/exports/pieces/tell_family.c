/* needs: say_number */
#include <sys/socket.h>

static void tell_family(int value, const int *family);

static void tell_family(int value, const int *family)
{
	static const struct number names[] = {
@FAMILY@
	};

	if (came(value))
		say_number(*family, names, sizeof(names) / sizeof(*names));
	done();
}
