/* An address that nothing is mapped at. It is volatile so that no compiler looks through it. */
static void *volatile BADPTR = (void *)1;
