/* A disk that fails when told to, for one process and one directory: loaded before the C library (LD_PRELOAD).
 *
 * FAILING_DISK_DATA     the directory
 * FAILING_DISK_CONTROL  while it holds a file named open, read, write or sync, that operation fails on the directory's
 *                       files, with the number in the file as errno, or, with the number 0, does not come back as long as
 *                       that is so; each failure adds a byte to open.hits and so on
 *                       while it holds a file named space, what makes the directory's files longer than so many bytes
 *                       together fails with ENOSPC
 * FAILING_DISK_PLATTER  what would be left after a power cut: what was written goes there once it was synced. What a
 *                       failed sync did not get there is forgotten and never tried again, as Linux does it.
 *
 * Changes of length and removals are taken to be durable at once. The -shm file is not kept: it means nothing after a
 * crash.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MAX_DIRTY 65536

struct dirty { ino_t file; off_t from; size_t length; };

static struct dirty dirty[MAX_DIRTY];
static size_t dirty_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The name of the file at `path` if it lies in the directory, else NULL. */
static const char *name_in_directory(const char *path)
{
    const char *directory = getenv("FAILING_DISK_DATA");
    size_t length = directory ? strlen(directory) : 0;
    if (!length || strncmp(path, directory, length) || path[length] != '/')
        return NULL;
    return path + length + 1;
}

static const char *name_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return name_in_directory(path);
}

/* Whether the operation is to fail; sets errno if so. */
static int fails(const char *operation)
{
    const char *control = getenv("FAILING_DISK_CONTROL");
    char path[PATH_MAX], number[16] = "";
    if (!control)
        return 0;
    snprintf(path, sizeof path, "%s/%s", control, operation);
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = REAL(read)(fd, number, sizeof number - 1);
    close(fd);
    strncat(path, ".hits", sizeof path - strlen(path) - 1);
    fd = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (REAL(write)(fd, "x", 1) != 1)
            abort();
        close(fd);
    }
    int error = length > 0 ? atoi(number) : EIO;
    if (!error) {
        path[strlen(path) - strlen(".hits")] = 0;
        while (access(path, F_OK) == 0)
            usleep(20000);
        return 0;
    }
    errno = error;
    return 1;
}

static int fails_on(int fd, const char *operation)
{
    char path[PATH_MAX];
    int before = errno;
    if (name_of(fd, path) && fails(operation))
        return 1;
    errno = before;
    return 0;
}

/* The length of all files in the directory together, but for the index, which takes no part in this. */
static off_t total_length(void)
{
    const char *directory = getenv("FAILING_DISK_DATA");
    DIR *files = opendir(directory);
    off_t total = 0;
    struct dirent *file;
    while (files && (file = readdir(files))) {
        char path[PATH_MAX];
        struct stat found;
        snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
        if (!strstr(file->d_name, "-shm") && stat(path, &found) == 0 && S_ISREG(found.st_mode))
            total += found.st_size;
    }
    if (files)
        closedir(files);
    return total;
}

/* Whether the file has no room to be written up to `end`; sets errno if so. */
static int lacks_room(int fd, off_t end)
{
    const char *control = getenv("FAILING_DISK_CONTROL");
    char path[PATH_MAX], number[32] = "";
    struct stat found;
    int before = errno, lacks = 0;
    if (control && name_of(fd, path) && !strstr(path, "-shm") && fstat(fd, &found) == 0 && end > found.st_size) {
        snprintf(path, sizeof path, "%s/space", control);
        int space = REAL(open)(path, O_RDONLY | O_CLOEXEC);
        if (space >= 0) {
            lacks = REAL(read)(space, number, sizeof number - 1) > 0
                && total_length() + end - found.st_size > atoll(number);
            close(space);
        }
    }
    errno = lacks ? ENOSPC : before;
    return lacks;
}

/* ---- the platter ------------------------------------------------------------------------------------------- */

/* Where the file is kept on the platter; 0 if it is not. */
static int platter_path(const char *name, char path[PATH_MAX])
{
    const char *platter = getenv("FAILING_DISK_PLATTER");
    if (!platter || !name || strstr(name, "-shm"))
        return 0;
    snprintf(path, PATH_MAX, "%s/%s", platter, name);
    return 1;
}

static ino_t inode(int fd)
{
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static void note_written(int fd, off_t from, ssize_t length)
{
    char path[PATH_MAX], kept[PATH_MAX];
    int before = errno;
    if (length > 0 && platter_path(name_of(fd, path), kept)) {
        pthread_mutex_lock(&lock);
        if (dirty_count == MAX_DIRTY)
            abort();
        dirty[dirty_count++] = (struct dirty){inode(fd), from, (size_t)length};
        pthread_mutex_unlock(&lock);
    }
    errno = before;
}

static void copy_range(int from, int to, off_t at, size_t length)
{
    char bytes[4096];
    while (length > 0) {
        size_t wanted = length < sizeof bytes ? length : sizeof bytes;
        ssize_t got = REAL(pread)(from, bytes, wanted, at);
        if (got <= 0)
            return; /* It was cut off since. */
        if (REAL(pwrite)(to, bytes, (size_t)got, at) != got)
            abort();
        at += got;
        length -= (size_t)got;
    }
}

/* Brings what was written to the platter, or forgets it. */
static void settle(int fd, int durable)
{
    char path[PATH_MAX], kept[PATH_MAX];
    int before = errno;
    if (platter_path(name_of(fd, path), kept)) {
        int target = REAL(open)(kept, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ino_t file = inode(fd);
        size_t left = 0;
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < dirty_count; i++) {
            if (dirty[i].file != file)
                dirty[left++] = dirty[i];
            else if (durable)
                copy_range(fd, target, dirty[i].from, dirty[i].length);
        }
        dirty_count = left;
        pthread_mutex_unlock(&lock);
        close(target);
    }
    errno = before;
}

static void cut_platter(int fd, off_t length)
{
    char path[PATH_MAX], kept[PATH_MAX];
    int before = errno;
    if (platter_path(name_of(fd, path), kept) && REAL(truncate)(kept, length) && errno != ENOENT)
        abort();
    errno = before;
}

/* ---- the calls --------------------------------------------------------------------------------------------- */

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        mode_t mode = 0;                                                                                               \
        if (flags & O_CREAT) {                                                                                         \
            va_list arguments;                                                                                         \
            va_start(arguments, flags);                                                                                \
            mode = va_arg(arguments, mode_t);                                                                          \
            va_end(arguments);                                                                                         \
        }                                                                                                              \
        if ((flags & O_ACCMODE) != O_RDONLY && name_in_directory(path) && fails("open"))                               \
            return -1;                                                                                                 \
        return REAL(name)(path, flags, mode);                                                                          \
    }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *bytes, size_t length)
{
    return fails_on(fd, "read") ? -1 : REAL(read)(fd, bytes, length);
}

#define PREAD(name, offset)                                                                                            \
    ssize_t name(int fd, void *bytes, size_t length, offset at)                                                        \
    {                                                                                                                  \
        return fails_on(fd, "read") ? -1 : REAL(name)(fd, bytes, length, at);                                          \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int fd, const void *bytes, size_t length)
{
    if (fails_on(fd, "write"))
        return -1;
    int before = errno;
    struct stat found;
    off_t at = lseek(fd, 0, SEEK_CUR);
    off_t from = fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &found) == 0 ? found.st_size : at;
    errno = before;
    if (from >= 0 && lacks_room(fd, from + (off_t)length))
        return -1;
    ssize_t written = REAL(write)(fd, bytes, length);
    if (at >= 0)
        note_written(fd, at, written);
    return written;
}

#define PWRITE(name, offset)                                                                                           \
    ssize_t name(int fd, const void *bytes, size_t length, offset at)                                                  \
    {                                                                                                                  \
        if (fails_on(fd, "write") || lacks_room(fd, (off_t)at + (off_t)length))                                        \
            return -1;                                                                                                 \
        ssize_t written = REAL(name)(fd, bytes, length, at);                                                           \
        note_written(fd, at, written);                                                                                 \
        return written;                                                                                                \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define SYNC(name)                                                                                                     \
    int name(int fd)                                                                                                   \
    {                                                                                                                  \
        if (fails_on(fd, "sync")) {                                                                                    \
            settle(fd, 0);                                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
        int synced = REAL(name)(fd);                                                                                   \
        settle(fd, synced == 0);                                                                                       \
        return synced;                                                                                                 \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, offset)                                                                                         \
    int name(int fd, offset length)                                                                                    \
    {                                                                                                                  \
        int cut = REAL(name)(fd, length);                                                                              \
        if (cut == 0)                                                                                                  \
            cut_platter(fd, length);                                                                                   \
        return cut;                                                                                                    \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int unlink(const char *path)
{
    char kept[PATH_MAX];
    int removed = REAL(unlink)(path);
    int before = errno;
    if (removed == 0 && platter_path(name_in_directory(path), kept))
        REAL(unlink)(kept);
    errno = before;
    return removed;
}
