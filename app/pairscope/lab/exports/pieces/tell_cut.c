/* needs: say_data */
#include <sys/types.h>

static void tell_cut(ssize_t value, const char *data, size_t room);

/* The length may be more than there was room for. Without data: the kernel copied none. */
static void tell_cut(ssize_t value, const char *data, size_t room)
{
	if (came(value) && (data || value == 0))
		say_data(data, (size_t)value < room ? (size_t)value : room);
	done();
}
