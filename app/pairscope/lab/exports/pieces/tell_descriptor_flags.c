/* needs: say_bits */
#include <fcntl.h>

static void tell_descriptor_flags(int value);

static void tell_descriptor_flags(int value)
{
	static const struct bit bits[] = {
@DESCRIPTOR_FLAGS@
	};

	if (came(value)) {
		me->line[0] = '\0';
		say_bits((unsigned int)value, bits, sizeof(bits) / sizeof(*bits));
	}
	done();
}
