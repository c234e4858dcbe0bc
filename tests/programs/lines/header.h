#include <unistd.h>

static inline int in_a_header(int end) {
    return write(end, "header", 6) == 6;
}
