/* A library of its own stands between the program and the call. */
int relay(const char *text);

int main(void) {
    return !relay("relay");
}
