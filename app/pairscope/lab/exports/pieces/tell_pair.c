/* needs: say */

static void tell_pair(int value, const int *pair, int *first, int *second);

static void tell_pair(int value, const int *pair, int *first, int *second)
{
	if (came(value)) {
		say(" [%d, %d]", pair[0], pair[1]);
		*first = pair[0];
		*second = pair[1];
	}
	done();
}
