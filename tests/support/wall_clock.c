/* A wall clock that is wrong by WALL_CLOCK_OFFSET seconds, for a process that loads this with LD_PRELOAD. All other clocks
 * are right. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    const char *offset = getenv("WALL_CLOCK_OFFSET");
    if (result == 0 && offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += atol(offset);
    return (int)result;
}
