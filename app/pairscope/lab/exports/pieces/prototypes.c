/* From the stage, at the end of this file. */
static void begin(int who);             /* takes a process, or a thread, into the play */
static void turn(int step);             /* waits until it is this step's turn */
