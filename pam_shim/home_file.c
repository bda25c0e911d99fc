/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way to a file in a home, one name at a time from the root folder, each opened below the one that was looked at, so
 * that nothing can be swapped in between. Every folder and the file belong to root or the account, and nobody else can
 * write them. A symbolic link is followed only above a home, where it and its folder are root's (/home -> /var/home);
 * from the home on there are none. What is not a regular file is not opened at all.
 */
#include "home_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40
#define WRITABLE_BY_OTHERS (S_IWGRP | S_IWOTH)
#define LOOK (O_PATH | O_NOFOLLOW | O_CLOEXEC)

/* The way to the home: the folder that was reached, and what is still ahead. */
struct walk {
    int folder;
    struct stat status; /* of the folder */
    char ahead[PATH_MAX];
    int links;
    uid_t owner;
};

static enum home_code code_of_errno(void)
{
    switch (errno) {
    case ENOENT:
        return HOME_NO_FILE;
    case EACCES:
    case EPERM:
        return HOME_NOT_PERMITTED;
    case ELOOP:
        return HOME_SYMLINK;
    case ENOTDIR:
        return HOME_NO_FOLDER;
    default:
        return HOME_BROKEN;
    }
}

static enum home_code judge(const struct stat *status, uid_t owner)
{
    if (status->st_uid != 0 && status->st_uid != owner)
        return HOME_WRONG_OWNER;
    return (status->st_mode & WRITABLE_BY_OTHERS) != 0 ? HOME_WRITABLE : HOME_READ;
}

/* Cut the first name off a path: it is copied to `name`, which has NAME_MAX + 1 bytes. False at the end of the path. */
static bool take_name(char *path, char *name, enum home_code *code)
{
    size_t slashes = strspn(path, "/");
    size_t length = strcspn(path + slashes, "/");

    *code = length > NAME_MAX ? HOME_BROKEN : HOME_READ;
    if (length == 0 || length > NAME_MAX)
        return false;
    memcpy(name, path + slashes, length);
    name[length] = '\0';
    memmove(path, path + slashes + length, strlen(path + slashes + length) + 1);
    return true;
}

/*
 * Open a folder in another and judge it. O_DIRECTORY has the kernel mount what it mounts on demand. HOME_SYMLINK if it
 * is a link, whose descriptor then is in *found.
 */
static enum home_code enter(int folder, const char *name, uid_t owner, int *found, struct stat *status)
{
    bool is_folder = true;

    *found = openat(folder, name, LOOK | O_DIRECTORY);
    if (*found < 0 && errno == ENOTDIR) {
        is_folder = false;
        *found = openat(folder, name, LOOK);
    }
    if (*found < 0)
        return code_of_errno();
    if (fstat(*found, status) < 0)
        return HOME_BROKEN;
    if (S_ISLNK(status->st_mode))
        return HOME_SYMLINK;
    if (!S_ISDIR(status->st_mode))
        return HOME_NO_FOLDER;
    return is_folder ? judge(status, owner) : HOME_REPLACED;
}

static void step_to(struct walk *walk, int folder, const struct stat *status)
{
    if (walk->folder >= 0)
        (void)close(walk->folder);
    walk->folder = folder;
    walk->status = *status;
}

static enum home_code go_to_root(struct walk *walk)
{
    struct stat status;
    int root = open("/", LOOK | O_DIRECTORY);

    if (root < 0 || fstat(root, &status) < 0)
        return HOME_BROKEN;
    step_to(walk, root, &status);
    return judge(&status, walk->owner);
}

/* Put what a link says in front of what is ahead. Only root's links in root's folders are followed. */
static enum home_code follow(struct walk *walk, int link, const struct stat *status)
{
    char target[PATH_MAX];
    char ahead[PATH_MAX];
    ssize_t length = readlinkat(link, "", target, sizeof(target) - 1);
    int all;

    if (status->st_uid != 0 || walk->status.st_uid != 0 || ++walk->links > LINKS_MAX)
        return HOME_SYMLINK;
    if (length <= 0)
        return HOME_BROKEN;
    target[length] = '\0';
    all = snprintf(ahead, sizeof(ahead), "%s/%s", target, walk->ahead);
    if (all < 0 || (size_t)all >= sizeof(ahead))
        return HOME_BROKEN;
    memcpy(walk->ahead, ahead, (size_t)all + 1);
    return target[0] == '/' ? go_to_root(walk) : HOME_READ;
}

/* Go one name further on the way to the home. */
static enum home_code go(struct walk *walk, const char *name)
{
    struct stat status;
    int found = -1;
    enum home_code code = enter(walk->folder, name, walk->owner, &found, &status);

    if (code == HOME_READ) {
        step_to(walk, found, &status);
        return code;
    }
    if (code == HOME_SYMLINK && found >= 0)
        code = follow(walk, found, &status);
    if (found >= 0)
        (void)close(found);
    return code;
}

static bool is_at_end(const struct walk *walk)
{
    return walk->ahead[strspn(walk->ahead, "/")] == '\0';
}

/* The folder `home`, opened, or -1. The root folder is nobody's home. */
static int open_home(const char *home, uid_t owner, struct home_failure *failure)
{
    struct walk walk = {.folder = -1, .owner = owner};
    char name[NAME_MAX + 1];
    struct stat root;

    *failure = (struct home_failure){HOME_NO_HOME, PLACE_HOME};
    if (home[0] != '/' || strlen(home) >= sizeof(walk.ahead) || stat("/", &root) < 0)
        return -1;
    memcpy(walk.ahead, home, strlen(home) + 1);
    *failure = (struct home_failure){go_to_root(&walk), PLACE_ABOVE};
    while (failure->code == HOME_READ && take_name(walk.ahead, name, &failure->code)) {
        failure->place = is_at_end(&walk) ? PLACE_HOME : PLACE_ABOVE;
        failure->code = go(&walk, name);
    }
    if (failure->code == HOME_READ && walk.status.st_dev == root.st_dev && walk.status.st_ino == root.st_ino)
        failure->code = HOME_NO_HOME;
    if (failure->code == HOME_READ)
        return walk.folder;
    if (walk.folder >= 0)
        (void)close(walk.folder);
    return -1;
}

static enum home_code judge_file(const struct stat *status, uid_t owner)
{
    if (S_ISLNK(status->st_mode))
        return HOME_SYMLINK;
    if (!S_ISREG(status->st_mode))
        return HOME_NOT_REGULAR;
    if (judge(status, owner) != HOME_READ)
        return judge(status, owner);
    return status->st_size > HOME_FILE_MAX ? HOME_TOO_LARGE : HOME_READ;
}

/* Look at the file before it is opened, since opening a device can do something, and again when it is open. */
static int open_file(int folder, const char *name, uid_t owner, struct home_failure *failure)
{
    struct stat seen;
    struct stat opened;
    int found = openat(folder, name, LOOK);
    int file = -1;

    failure->place = PLACE_FILE;
    failure->code = found < 0 ? code_of_errno() : HOME_BROKEN;
    if (found < 0 || fstat(found, &seen) < 0)
        goto out;
    failure->code = judge_file(&seen, owner);
    if (failure->code != HOME_READ)
        goto out;
    file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) {
        failure->code = errno == ENOENT || errno == ELOOP || errno == ENXIO ? HOME_REPLACED : code_of_errno();
    } else if (fstat(file, &opened) < 0 || opened.st_dev != seen.st_dev || opened.st_ino != seen.st_ino) {
        failure->code = HOME_REPLACED;
    } else {
        failure->code = judge_file(&opened, owner);
    }
out:
    if (found >= 0)
        (void)close(found);
    if (failure->code != HOME_READ && file >= 0) {
        (void)close(file);
        file = -1;
    }
    return file;
}

int open_home_file(const char *home, const char *path, uid_t owner, struct home_failure *failure)
{
    char ahead[PATH_MAX];
    char name[NAME_MAX + 1];
    struct stat status;
    int folder = open_home(home, owner, failure);
    int file = -1;

    if (folder < 0)
        return -1;
    (void)snprintf(ahead, sizeof(ahead), "%s", path);
    while (take_name(ahead, name, &failure->code)) {
        int found = -1;

        if (ahead[0] == '\0') {
            file = open_file(folder, name, owner, failure);
            break;
        }
        *failure = (struct home_failure){enter(folder, name, owner, &found, &status), PLACE_FOLDER};
        if (failure->code != HOME_READ) {
            if (found >= 0)
                (void)close(found);
            break;
        }
        (void)close(folder);
        folder = found;
    }
    (void)close(folder);
    return file;
}
