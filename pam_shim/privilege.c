/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the supervisor takes back of a host's identity and limits before it starts anything.
 */
#include "privilege.h"

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROCESSES_MIN 1024

bool has_privilege(const struct order *order)
{
    const uint32_t *uids = order->ids;
    const uint32_t *gids = order->ids + 3;

    if (order->at_secure != 0 || uids[0] == 0 || uids[1] == 0 || uids[2] == 0)
        return true;
    return uids[0] != uids[1] || uids[1] != uids[2] || gids[0] != gids[1] || gids[1] != gids[2];
}

/* The uids come first: with an effective uid other than 0 the rest is not permitted. */
int take_privilege(void)
{
    uid_t uids[3] = {1, 1, 1};
    gid_t gids[3] = {1, 1, 1};

    if (setresuid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0)
        return -1;
    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0 ||
        getgroups(0, NULL) != 0)
        return -1;
    return uids[0] == 0 && uids[1] == 0 && uids[2] == 0 && gids[0] == 0 && gids[1] == 0 && gids[2] == 0 ? 0 : -1;
}

int set_own_limits(bool privilege)
{
    static const struct {
        int resource;
        rlim_t wanted;
    } limits[] = {
        {RLIMIT_FSIZE, RLIM_INFINITY}, {RLIMIT_DATA, RLIM_INFINITY},    {RLIMIT_AS, RLIM_INFINITY},
        {RLIMIT_CPU, RLIM_INFINITY},   {RLIMIT_STACK, (rlim_t)8 << 20}, {RLIMIT_NOFILE, 256},
    };
    struct rlimit limit;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        __rlimit_resource_t resource = (__rlimit_resource_t)limits[i].resource;

        if (getrlimit(resource, &limit) < 0)
            return -1;
        if (privilege || limit.rlim_max > limits[i].wanted)
            limit.rlim_max = limits[i].wanted;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(resource, &limit) < 0)
            return -1;
    }
    return 0;
}

/*
 * Counted over all processes of an account, so the caller's own limit would count against the account of the card
 * process, and its module got no thread. Only ever raised; what cannot be raised is left for the module to complain of.
 */
void raise_process_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NPROC, &limit) < 0)
        return;
    if (limit.rlim_max < PROCESSES_MIN)
        limit.rlim_max = PROCESSES_MIN;
    if (limit.rlim_cur < PROCESSES_MIN)
        limit.rlim_cur = PROCESSES_MIN;
    (void)setrlimit(RLIMIT_NPROC, &limit);
}
