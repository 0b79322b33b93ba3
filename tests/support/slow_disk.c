/* A disk that takes longer to sync, for one process: loaded before the C library (LD_PRELOAD).
 *
 * SLOW_DISK_MICROSECONDS  by how much
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int after_a_while(int result)
{
    const char *text = getenv("SLOW_DISK_MICROSECONDS");
    long microseconds = text ? atol(text) : 0;
    struct timespec pause = { microseconds / 1000000, microseconds % 1000000 * 1000 };
    int error = errno;
    nanosleep(&pause, NULL);
    errno = error;
    return result;
}

int fsync(int file)
{
    return after_a_while(REAL(fsync)(file));
}

int fdatasync(int file)
{
    return after_a_while(REAL(fdatasync)(file));
}
