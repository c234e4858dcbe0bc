/* needs: say */

static void tell(long value);

static void tell(long value)
{
	came(value);
	done();
}
