/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_HOME_FILE_H
#define PAM_SC_HOME_FILE_H

#include <sys/types.h>

enum { HOME_FILE_MAX = 1 << 20 };

/* Why a file was not read: the codes of docs/protocol.md. HOME_READ is never sent. */
enum home_code {
    HOME_READ = 0,
    HOME_NO_ACCOUNT = 1,
    HOME_NO_HOME = 2,
    HOME_NO_FILE = 3,
    HOME_SYMLINK = 4,
    HOME_NO_FOLDER = 5,
    HOME_NOT_REGULAR = 6,
    HOME_WRONG_OWNER = 7,
    HOME_WRITABLE = 8,
    HOME_TOO_LARGE = 9,
    HOME_REPLACED = 10,
    HOME_NOT_ORDERED = 11,
    HOME_NOT_PERMITTED = 12,
    HOME_LOOKUP_FAILED = 13,
    HOME_NO_IDENTITY = 14,
    HOME_BROKEN = 15,
    HOME_TIME_OVER = 16,
    HOME_INTERRUPTED = 17
};

enum home_place { PLACE_NOWHERE = 0, PLACE_ABOVE = 1, PLACE_HOME = 2, PLACE_FOLDER = 3, PLACE_FILE = 4 };

struct home_failure {
    enum home_code code;
    enum home_place place;
};

/*
 * Open the file `path` in the folder `home` of the account `owner` for reading: a regular file of at most HOME_FILE_MAX
 * bytes that nobody but that account and root can change, replace or lead elsewhere. To be called as that account. The
 * descriptor, or -1 with the failure set.
 */
int open_home_file(const char *home, const char *path, uid_t owner, struct home_failure *failure);

#endif
