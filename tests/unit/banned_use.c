/* Must not compile; the test unit.banned looks for the compiler's words. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void banned_use(char *out, const char *in);

void banned_use(char *out, const char *in)
{
    strcpy(out, in);
    strcat(out, in);
    strncpy(out, in, 1);
    sprintf(out, "%s", in);
    printf("%d %s\n", atoi(in), strtok(out, in));
    usleep(1);
}
