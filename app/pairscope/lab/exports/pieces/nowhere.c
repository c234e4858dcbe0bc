/* No address at all; volatile so that no compiler looks through it. */
static void *volatile nowhere = NULL;
