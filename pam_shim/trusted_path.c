/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who could have put a file where it lies. Used by the supervisor before anything is loaded from there; it only looks.
 */
#include "trusted_path.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static bool owned(const struct stat *entry, uid_t other)
{
    return entry->st_uid == 0 || entry->st_uid == other;
}

/*
 * True if nobody but root and `other` can replace `inner`, which lies in the folder `outer`. In a sticky folder of
 * root's, such as /tmp, everybody may add entries but only the owner of an entry can rename or remove it.
 */
static bool holds(const struct stat *outer, uid_t other)
{
    if (!S_ISDIR(outer->st_mode) || !owned(outer, other))
        return false;
    if ((outer->st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    return outer->st_uid == 0 && (outer->st_mode & S_ISVTX) != 0;
}

bool trusted_path(const char *path, uid_t other)
{
    char buffer[PATH_MAX];
    struct stat entry;
    size_t length = strlen(path);

    if (path[0] != '/' || length >= sizeof(buffer))
        return false;
    memcpy(buffer, path, length + 1);
    if (lstat(buffer, &entry) < 0 || S_ISLNK(entry.st_mode) || !owned(&entry, other))
        return false;
    if ((entry.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return false;
    while (length > 1) {
        while (buffer[length - 1] != '/')
            length--;
        if (length > 1)
            length--;
        buffer[length] = '\0';
        /* The entry below has been found to be owned by root or `other`, which is what sticky asks for. */
        if (lstat(buffer, &entry) < 0 || !holds(&entry, other))
            return false;
    }
    return true;
}
