/* needs: say_data */
#include <sys/types.h>

static void tell_data(ssize_t value, const char *data);

static void tell_data(ssize_t value, const char *data)
{
	if (came(value))
		say_data(data, (size_t)value);
	done();
}
