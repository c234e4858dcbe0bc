/* needs: say */

struct number {
	int number;
	const char *name;
};

/* A number by its name, or in digits. */
static void say_number(int value, const struct number *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (value == names[i].number) {
			say(" value=%s", names[i].name);
			return;
		}
	}
	say(" value=%d", value);
}
