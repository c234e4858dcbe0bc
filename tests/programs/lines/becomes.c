/* Becomes another program, whose main lies within the addresses of this one's. */
#include <unistd.h>

#define LONG some++; some++; some++; some++; some++; some++; some++; some++; some++; some++; some++; some++; some++;

int main(int argc, char **argv) {
    volatile int some = 0;
    LONG LONG LONG
    return argc > 1 ? execv(argv[1], argv + 1) : some;
}
