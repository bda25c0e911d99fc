/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into a pcscd of the tests: it looks at its readers ten times as often as it would, every 40 ms. Nothing else in it
 * sleeps for so long.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

enum { FASTER = 10, SHORTEST_NS = 100000000 };

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    int (*const real)(const struct timespec *, struct timespec *) = dlsym(RTLD_NEXT, "nanosleep");
    struct timespec shorter = *wanted;
    if (wanted->tv_sec == 0 && wanted->tv_nsec >= SHORTEST_NS)
        shorter.tv_nsec /= FASTER;
    return real(&shorter, left);
}
