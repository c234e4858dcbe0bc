/* Makes a call of i386: the same interrupt from a program of 64 bits. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
#ifdef __x86_64__
	int number = 20; /* getpid */

	__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	printf("%d\n", number == getpid());
#endif
	return 0;
}
