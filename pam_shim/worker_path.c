/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the worker may be started: the path as it is given, what each link in it leads to (so that nobody else chooses
 * where) and the path that it resolves to, each component from / on, belong to root, or to a caller that has no privilege to lose, and
 * nobody else can write them. A sticky folder of root's, such as /tmp, counts as unwritable for an entry that is trusted
 * itself. Only looks; what is started later is the canonical path. */

#define _GNU_SOURCE 1

#include "worker_path.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

/* Whether the program has no privilege left and cannot get any back, as an ordinary user's. A program that was started
 * with privilege and has given all of it up before it asks anybody (xscreensaver-auth does) is such a one: AT_SECURE only
 * tells how it was started. */
static bool is_ordinary(const struct caller *caller)
{
    const uid_t *const u = caller->uids;
    const gid_t *const g = caller->gids;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (u[0] == 0 || u[0] != u[1] || u[0] != u[2] || g[0] != g[1] || g[0] != g[2])
        return false;
    if (syscall(SYS_capget, &header, held) != 0)
        return false;
    return held[0].permitted == 0 && held[1].permitted == 0;
}

bool caller_read(struct caller *caller)
{
    uid_t *const u = caller->uids;
    gid_t *const g = caller->gids;
    if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
        return false;
    caller->at_secure = getauxval(AT_SECURE) != 0 && !is_ordinary(caller);
    caller->privileged = caller->at_secure || u[0] == 0 || u[0] != u[1] || u[0] != u[2];
    return true;
}

static bool is_trusted_owner(const struct caller *caller, uid_t owner)
{
    return owner == 0 || (!caller->privileged && owner == caller->uids[0]);
}

/* A folder that others may write to is safe where it is sticky and root's, because what matters in it is an entry that
 * has passed this same check of its owner. */
static const char *component_unsafe(const struct caller *caller, const char *path)
{
    struct stat entry;
    if (lstat(path, &entry) != 0)
        return "it cannot be looked at";
    if (!is_trusted_owner(caller, entry.st_uid))
        return "it, or a folder above it, does not belong to root";
    const bool sticky = S_ISDIR(entry.st_mode) && (entry.st_mode & S_ISVTX) != 0 && entry.st_uid == 0;
    if (!S_ISLNK(entry.st_mode) && (entry.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)
        return "it, or a folder above it, can be written by others";
    return NULL;
}

static const char *components_unsafe(const struct caller *caller, const char *path)
{
    char prefix[PATH_MAX];
    for (size_t end = 1; end <= strlen(path); end++) {
        if (end > 1 && path[end] != '/' && path[end] != '\0')
            continue;
        memcpy(prefix, path, end);
        prefix[end] = '\0';
        const char *wrong = component_unsafe(caller, prefix);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

/* Put in place of the first link in `path` where it leads to. 1 if there was one, 0 if there is none, -1 if it cannot be
 * followed. */
static int follow_first_link(char path[PATH_MAX])
{
    char prefix[PATH_MAX], target[PATH_MAX], next[PATH_MAX];
    const size_t length = strlen(path);
    for (size_t end = 1; end <= length; end++) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        memcpy(prefix, path, end);
        prefix[end] = '\0';
        const ssize_t size = readlink(prefix, target, sizeof target - 1);
        if (size < 0)
            continue; /* no link; whatever else it is, realpath has been through it */
        target[size] = '\0';
        size_t folder = end;
        while (target[0] != '/' && path[folder - 1] != '/')
            folder--;
        const size_t kept = target[0] == '/' ? 0 : folder;
        if (size == 0 || kept + (size_t)size + (length - end) >= PATH_MAX)
            return -1;
        memcpy(next, path, kept);
        memcpy(next + kept, target, (size_t)size);
        memcpy(next + kept + (size_t)size, path + end, length - end + 1);
        memcpy(path, next, kept + (size_t)size + (length - end) + 1);
        return 1;
    }
    return 0;
}

static const char *links_unsafe(const struct caller *caller, const char *given)
{
    char path[PATH_MAX];
    int followed = 1;
    memcpy(path, given, strlen(given) + 1);
    for (int links = 0; followed == 1 && links <= LINKS_MAX; links++) {
        const char *const wrong = components_unsafe(caller, path);
        if (wrong != NULL)
            return wrong;
        followed = follow_first_link(path);
    }
    return followed == 0 ? NULL : "its links cannot be followed";
}

const char *worker_path_unsafe(const struct caller *caller, const char *given, char canonical[PATH_MAX])
{
    struct stat file;
    if (realpath(given, canonical) == NULL)
        return "it cannot be found";
    const char *wrong = links_unsafe(caller, given);
    if (wrong == NULL)
        wrong = components_unsafe(caller, canonical);
    if (wrong != NULL)
        return wrong;
    if (stat(canonical, &file) != 0 || !S_ISREG(file.st_mode))
        return "it is not a regular file";
    return (file.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 ? NULL : "it is not executable";
}

bool caller_is_root(const struct caller *caller)
{
    return caller->uids[0] == 0 && caller->uids[1] == 0 && caller->uids[2] == 0;
}
