// Makes one system call of a process fail, be cut short, or be its last. Preloaded; the environment
// says which:
//   FAULT_CALL    the kind of call: open, stat, read, write, seek, sync, truncate, rename, unlink,
//                 chmod, lock, mmap, readlink, opendir, getxattr, setxattr
//   FAULT_UNDER   only calls about files whose absolute path begins so are counted
//   FAULT_NTH     the number of the call, from 1
//   FAULT_ERROR   the errno, 0 for half of the bytes, -1 for SIGKILL before the call
//   FAULT_REPORT  the file that gets the path of the call that failed

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { NONE = 0, FAIL = 1, SHORT = 2 };

static const char *chosen, *under, *report;
static long nth, error;
static atomic_long seen;

__attribute__((constructor)) static void read_environment(void) {
    const char *number = getenv("FAULT_NTH"), *code = getenv("FAULT_ERROR");
    chosen = getenv("FAULT_CALL");
    under = getenv("FAULT_UNDER");
    report = getenv("FAULT_REPORT");
    if (!number || !code || !under || !report) chosen = NULL;
    nth = number ? atol(number) : 0;
    error = code ? atol(code) : 0;
}

// The absolute path of `path`, or of the file behind `fd` if there is no path.
static int absolute(int fd, const char *path, char *to, size_t size) {
    char link[64];
    if (path && path[0] == '/') {
        snprintf(to, size, "%s", path);
        return 1;
    }
    if (path && path[0]) {
        long length = syscall(SYS_getcwd, to, size);
        if (length <= 0) return 0;
        snprintf(to + length - 1, size - length + 1, "/%s", path);
        return 1;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, to, size - 1);
    if (length <= 0) return 0;
    to[length] = 0;
    return 1;
}

// What becomes of this call.
static int fate(const char *kind, int fd, const char *path) {
    char name[2 * PATH_MAX];
    if (!chosen || strcmp(kind, chosen) != 0) return NONE;
    if (!absolute(fd, path, name, sizeof name)) return NONE;
    if (strncmp(name, under, strlen(under)) != 0) return NONE;
    if (atomic_fetch_add(&seen, 1) + 1 != nth) return NONE;
    int to = (int)syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    syscall(SYS_write, to, name, strlen(name));
    syscall(SYS_close, to);
    if (error == -1) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    if (error == 0) return SHORT;
    errno = (int)error;
    return FAIL;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// A call that either fails or is made.
#define HOOK(result, bad, kind, fd, path, name, parameters, arguments) \
    result name parameters {                                          \
        if (fate(kind, fd, path) == FAIL) return bad;                  \
        return REAL(name) arguments;                                   \
    }

// A call that moves bytes, perhaps only half of them.
#define MOVE(kind, name, parameters, whole, half) \
    ssize_t name parameters {                     \
        switch (fate(kind, fd, NULL)) {           \
        case FAIL: return -1;                     \
        case SHORT: return REAL(name) half;       \
        default: return REAL(name) whole;         \
        }                                         \
    }

#define HALF(count) ((count) > 1 ? (count) / 2 : (count))

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list list;                                               \
        va_start(list, flags);                                      \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0; \
        va_end(list);                                               \
        if (fate("open", AT_FDCWD, path) == FAIL) return -1;        \
        return REAL(name)(path, flags, mode);                       \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                \
    int name(int fd, const char *path, int flags, ...) {            \
        va_list list;                                               \
        va_start(list, flags);                                      \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0; \
        va_end(list);                                               \
        if (fate("open", fd, path) == FAIL) return -1;              \
        return REAL(name)(fd, path, flags, mode);                   \
    }
OPENAT(openat)
OPENAT(openat64)

HOOK(int, -1, "stat", fd, path, statx,
     (int fd, const char *path, int flags, unsigned mask, struct statx *to),
     (fd, path, flags, mask, to))
HOOK(int, -1, "stat", fd, NULL, fstat64, (int fd, struct stat64 *to), (fd, to))
HOOK(int, -1, "stat", 0, path, stat64, (const char *path, struct stat64 *to), (path, to))
HOOK(int, -1, "stat", 0, path, lstat64, (const char *path, struct stat64 *to), (path, to))
HOOK(int, -1, "stat", fd, path, fstatat64,
     (int fd, const char *path, struct stat64 *to, int flags), (fd, path, to, flags))

MOVE("read", read, (int fd, void *to, size_t count), (fd, to, count), (fd, to, HALF(count)))
MOVE("read", pread64, (int fd, void *to, size_t count, off64_t at), (fd, to, count, at),
     (fd, to, HALF(count), at))
MOVE("read", readv, (int fd, const struct iovec *to, int count), (fd, to, count), (fd, to, 1))
MOVE("write", write, (int fd, const void *from, size_t count), (fd, from, count),
     (fd, from, HALF(count)))
MOVE("write", pwrite64, (int fd, const void *from, size_t count, off64_t at),
     (fd, from, count, at), (fd, from, HALF(count), at))
MOVE("write", writev, (int fd, const struct iovec *from, int count), (fd, from, count),
     (fd, from, 1))

HOOK(off64_t, -1, "seek", fd, NULL, lseek64, (int fd, off64_t to, int from), (fd, to, from))
HOOK(int, -1, "sync", fd, NULL, fsync, (int fd), (fd))
HOOK(int, -1, "sync", fd, NULL, fdatasync, (int fd), (fd))
HOOK(int, -1, "truncate", fd, NULL, ftruncate64, (int fd, off64_t size), (fd, size))
HOOK(int, -1, "rename", 0, from, rename, (const char *from, const char *to), (from, to))
HOOK(int, -1, "unlink", 0, path, unlink, (const char *path), (path))
HOOK(int, -1, "chmod", fd, NULL, fchmod, (int fd, mode_t mode), (fd, mode))
HOOK(int, -1, "lock", fd, NULL, flock, (int fd, int how), (fd, how))
HOOK(void *, MAP_FAILED, "mmap", fd, NULL, mmap64,
     (void *at, size_t size, int can, int flags, int fd, off64_t from),
     (at, size, can, flags, fd, from))
HOOK(ssize_t, -1, "readlink", 0, path, readlink, (const char *path, char *to, size_t size),
     (path, to, size))
HOOK(char *, NULL, "readlink", 0, path, realpath, (const char *path, char *to), (path, to))
HOOK(ssize_t, -1, "getxattr", fd, NULL, fgetxattr,
     (int fd, const char *name, void *to, size_t size), (fd, name, to, size))
HOOK(int, -1, "setxattr", fd, NULL, fsetxattr,
     (int fd, const char *name, const void *from, size_t size, int flags),
     (fd, name, from, size, flags))
HOOK(DIR *, NULL, "opendir", 0, path, opendir, (const char *path), (path))
