/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the worker may be started: the path as it is given (so that nobody else chooses where its links lead) and the
 * path that it resolves to, each component from / on, belong to root, or to a caller that has no privilege to lose, and
 * nobody else can write them. A sticky folder of root's, such as /tmp, counts as unwritable for an entry that is trusted
 * itself. Only looks; what is started later is the canonical path. */

#define _GNU_SOURCE 1

#include "worker_path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

bool caller_read(struct caller *caller)
{
    uid_t *const u = caller->uids;
    gid_t *const g = caller->gids;
    if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0)
        return false;
    caller->at_secure = getauxval(AT_SECURE) != 0;
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

const char *worker_path_unsafe(const struct caller *caller, const char *given, char canonical[PATH_MAX])
{
    struct stat file;
    if (realpath(given, canonical) == NULL)
        return "it cannot be found";
    const char *wrong = components_unsafe(caller, given);
    if (wrong == NULL)
        wrong = components_unsafe(caller, canonical);
    if (wrong != NULL)
        return wrong;
    if (stat(canonical, &file) != 0 || !S_ISREG(file.st_mode))
        return "it is not a regular file";
    return (file.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 ? NULL : "it is not executable";
}
