/* needs: say */

static void tell_fd(long value, int *name);

static void tell_fd(long value, int *name)
{
	if (came(value))
		*name = (int)value;
	done();
}
