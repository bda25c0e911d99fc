/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Linked into a shim for tests alone, with --wrap for each function below: the call number PAM_SC_TEST_FAULT fails as it
 * can fail in life, and its name is printed when the module is unloaded. What is only clean-up (close, waitid, restoring
 * the mask) never fails here. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int calls;
static bool in_session;
static const char *failed;
static long failed_number;

static bool fails(const char *name, long number)
{
    const char *const at = getenv("PAM_SC_TEST_FAULT");
    if (at == NULL || (getenv("PAM_SC_TEST_FAULT_IN_SESSION") != NULL && !in_session) || ++calls != atoi(at))
        return false;
    failed = name;
    failed_number = number;
    errno = EIO;
    return true;
}

__attribute__((destructor)) static void report(void)
{
    dprintf(STDERR_FILENO, "fault %s %ld\n", failed ? failed : "none", failed_number);
}

#define WRAP(type, name, error, parameters, arguments)                                                                 \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        return fails(#name, 0) ? (error) : __real_##name arguments;                                                    \
    }

WRAP(ssize_t, getrandom, 31, (void *b, size_t n, unsigned f), (b, n, f))
WRAP(int, getresuid, -1, (uid_t * r, uid_t *e, uid_t *s), (r, e, s))
WRAP(int, getresgid, -1, (gid_t * r, gid_t *e, gid_t *s), (r, e, s))
WRAP(char *, realpath, NULL, (const char *p, char *r), (p, r))
WRAP(int, lstat, -1, (const char *p, struct stat *s), (p, s))
WRAP(int, stat, -1, (const char *p, struct stat *s), (p, s))
WRAP(int, socketpair, -1, (int d, int t, int p, int *v), (d, t, p, v))
WRAP(ssize_t, send, -1, (int s, const void *b, size_t n, int f), (s, b, n, f))
WRAP(ssize_t, sendmsg, -1, (int s, const struct msghdr *m, int f), (s, m, f))
WRAP(ssize_t, recv, -1, (int s, void *b, size_t n, int f), (s, b, n, f))
WRAP(int, poll, -1, (struct pollfd * f, nfds_t n, int t), (f, n, t))
WRAP(void *, mmap, MAP_FAILED, (void *a, size_t n, int p, int f, int d, off_t o), (a, n, p, f, d, o))
WRAP(int, mprotect, -1, (void *a, size_t n, int p), (a, n, p))
WRAP(char *, strdup, NULL, (const char *s), (s))
WRAP(int, pam_get_item, PAM_BUF_ERR, (const pam_handle_t *h, int i, const void **v), (h, i, v))
WRAP(int, pam_set_item, PAM_BUF_ERR, (pam_handle_t * h, int i, const void *v), (h, i, v))
WRAP(int, pam_set_data, PAM_BUF_ERR,
     (pam_handle_t * h, const char *n, void *d, void (*c)(pam_handle_t *, void *, int)), (h, n, d, c))

WRAP(char *, strndup, NULL, (const char *s, size_t n), (s, n))
WRAP(void *, calloc, NULL, (size_t n, size_t s), (n, s))
WRAP(int, mkdirat, -1, (int d, const char *p, mode_t m), (d, p, m))
WRAP(int, fchmod, -1, (int d, mode_t m), (d, m))
WRAP(int, fchown, -1, (int d, uid_t u, gid_t g), (d, u, g))
WRAP(int, fstat, -1, (int d, struct stat *s), (d, s))
WRAP(ssize_t, read, -1, (int d, void *b, size_t n), (d, b, n))
WRAP(ssize_t, write, -1, (int d, const void *b, size_t n), (d, b, n))
WRAP(int, fsetxattr, -1, (int d, const char *k, const void *v, size_t n, int f), (d, k, v, n, f))
WRAP(int, renameat2, -1, (int o, const char *p, int n, const char *q, unsigned f), (o, p, n, q, f))
WRAP(int, pam_putenv, PAM_BUF_ERR, (pam_handle_t * h, const char *v), (h, v))
WRAP(struct passwd *, pam_modutil_getpwnam, NULL, (pam_handle_t * h, const char *n), (h, n))

/* What authenticate reads is of no need, so only what open_session reads fails; with PAM_SC_TEST_FAULT_IN_SESSION the
 * counting begins here. */
const char *__real_pam_getenv(pam_handle_t *h, const char *n);
const char *__wrap_pam_getenv(pam_handle_t *h, const char *n);
const char *__wrap_pam_getenv(pam_handle_t *h, const char *n)
{
    if (strcmp(n, "XDG_SESSION_ID") != 0)
        return __real_pam_getenv(h, n);
    in_session = true;
    return fails("pam_getenv", 0) ? NULL : __real_pam_getenv(h, n);
}

/* The mode, where there is one, is always handed on: an int where a caller has given none is not looked at. */
#define WRAP_OPEN(name, parameters, ...)                                                                               \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters                                                                                       \
    {                                                                                                                  \
        va_list list;                                                                                                  \
        va_start(list, f);                                                                                             \
        const int mode = va_arg(list, int);                                                                            \
        va_end(list);                                                                                                  \
        return fails(#name, 0) ? -1 : __real_##name(__VA_ARGS__, mode);                                                \
    }

WRAP_OPEN(open, (const char *p, int f, ...), p, f)
WRAP_OPEN(openat, (int d, const char *p, int f, ...), d, p, f)

int __real_clone(int (*f)(void *), void *s, int flags, void *a, int *p);
int __wrap_clone(int (*f)(void *), void *s, int flags, void *a, int *p);
int __wrap_clone(int (*f)(void *), void *s, int flags, void *a, int *p)
{
    return fails("clone", 0) ? -1 : __real_clone(f, s, flags, a, p);
}

long __real_syscall(long n, ...);
long __wrap_syscall(long n, ...);
long __wrap_syscall(long n, ...)
{
    long v[6];
    va_list list;
    va_start(list, n);
    for (int i = 0; i < 6; i++)
        v[i] = va_arg(list, long);
    va_end(list);
    const bool cleans_up = n == SYS_exit || n == SYS_waitid || n == SYS_rt_sigaction ||
                           (n == SYS_rt_sigprocmask && v[2] == 0) || n == SYS_pidfd_send_signal;
    if (!cleans_up && fails("syscall", n))
        return -1;
    return __real_syscall(n, v[0], v[1], v[2], v[3], v[4], v[5]);
}
