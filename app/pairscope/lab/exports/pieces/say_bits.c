/* needs: say */

struct bit {
	unsigned int number;
	const char *name;
};

/* A number as the names of its bits. */
static void say_bits(unsigned int value, const struct bit *bits, size_t count)
{
	const char *between = "";

	if (value == 0)
		say("0");
	for (size_t i = 0; i < count; i++) {
		if ((value & bits[i].number) == bits[i].number) {
			say("%s%s", between, bits[i].name);
			between = "|";
			value &= ~bits[i].number;
		}
	}
	if (value)
		say("%s0x%x", between, value);
}
