/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /run/pam_sc/sessions/<XDG_SESSION_ID>.json: which card opened a session, for the monitor that watches for its removal.
 * Written only by root, and only where logind says that the session is this very process's and this very account's: su and
 * sudo inside a session run with its id too, but somebody else leads it. Root and the account read it, and the group of the
 * folder where root has made that one setgid (the monitor's account, by tmpfiles.d); nobody else.
 *
 * The folders are opened one below the other without following a link, and each must be root's alone to write; the file is
 * made whole under another name and then takes its own, unless this session has one already. What goes wrong is logged. No session
 * fails for it, and none is opened or closed by it.
 */

#include "session_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <security/pam_ext.h>
#include <security/pam_modutil.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <syslog.h>
#include <unistd.h>

enum { ID_MAX = 32, NAME_SIZE = 64, STEPS = 3, LOGIND_FILE_MAX = 16384 };

static const char RECORD[] = "pam_sc_session";
static const char OURS[STEPS][12] = {"run", "pam_sc", "sessions"};
static const char LOGINDS[STEPS][12] = {"run", "systemd", "sessions"};

/* What this handle has written. */
struct written {
    char name[NAME_SIZE];
    dev_t device;
    ino_t inode;
};

/* The session of this process, as logind has it. */
struct session {
    const char *id;
    uid_t uid;
    unsigned long began; /* microseconds of the epoch, 0 where it is not known */
};

static void complain(const pam_handle_t *pamh, const char *what)
{
    pam_syslog(pamh, LOG_WARNING, "cannot write down which card opened the session: %s: %m", what);
}

/* Close, and leave errno as it is. */
static void close_quietly(int fd)
{
    const int error = errno;
    (void)close(fd);
    errno = error;
}

/* Root's, and nobody else may write it. */
static bool is_roots_alone(int fd, mode_t type)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    if ((status.st_mode & S_IFMT) == type && status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    errno = EPERM;
    return false;
}

/* One folder below another, made where it is missing and `make` says so. The caller closes it; -1 and errno. */
static int open_below(int above, const char *name, bool make)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(above, name, flags);
    if (fd < 0 && errno == ENOENT && make) {
        const bool made = mkdirat(above, name, 0755) == 0;
        fd = made || errno == EEXIST ? openat(above, name, flags) : -1;
        if (made && fd >= 0)
            (void)fchmod(fd, 0755); /* a host's umask may have made it narrower */
    }
    if (fd < 0 || is_roots_alone(fd, S_IFDIR))
        return fd;
    close_quietly(fd);
    return -1;
}

/* The folder at the end of a way from the root; `made` is how many of its last steps may be made. -1 and errno. */
static int open_folder(const char way[STEPS][12], size_t made)
{
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < STEPS && folder >= 0; i++) {
        const int next = open_below(folder, way[i], i >= STEPS - made);
        close_quietly(folder);
        folder = next;
    }
    return folder;
}

static bool is_session_id(const char *id)
{
    const size_t length = strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    return length > 0 && length <= ID_MAX && id[length] == '\0';
}

/* The number in the first line of `text` that begins with `key`, if it is digits and nothing else. */
static bool find_number(const char *text, const char *key, unsigned long *number)
{
    const size_t length = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, key, length) == 0 && line[length] >= '0' && line[length] <= '9') {
            char *end;
            errno = 0;
            *number = strtoul(line + length, &end, 10);
            return errno == 0 && (*end == '\n' || *end == '\0');
        }
    }
    return false;
}

/* Whether logind says that the session `id` is led by this process and belongs to `uid`; *began is when it began, in
 * microseconds of the epoch, 0 where that is not said. */
static bool is_own_session(const char *id, uid_t uid, unsigned long *began)
{
    char text[LOGIND_FILE_MAX];
    size_t length = 0;
    ssize_t got = -1;
    unsigned long owner, leader;
    const int folder = open_folder(LOGINDS, 0);
    if (folder < 0)
        return false;
    const int file = openat(folder, id, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    (void)close(folder);
    if (file < 0)
        return false;
    if (is_roots_alone(file, S_IFREG)) {
        while (length < sizeof text && (got = read(file, text + length, sizeof text - length)) > 0)
            length += (size_t)got;
    }
    (void)close(file);
    if (got != 0 || length == sizeof text || memchr(text, '\0', length) != NULL)
        return false;
    text[length] = '\0';
    if (!find_number(text, "REALTIME=", began))
        *began = 0;
    return find_number(text, "UID=", &owner) && owner == uid && find_number(text, "LEADER=", &leader) &&
           leader == (unsigned long)getpid();
}

/* The group that is to read files of this folder, 0 for none: root's own choice, as only root can have made the folder
 * setgid. Whose group a new file has is not looked at: that may be the host's. */
static bool find_readers(int folder, gid_t *readers)
{
    struct stat status;
    if (fstat(folder, &status) != 0)
        return false;
    *readers = (status.st_mode & S_ISGID) != 0 ? status.st_gid : 0;
    return true;
}

/* Root writes and reads, the account and the folder's readers read. Where the file system knows no ACLs root alone reads. */
static bool let_them_read(const pam_handle_t *pamh, int file, uid_t uid, gid_t readers)
{
    const struct {
        struct posix_acl_xattr_header header;
        struct posix_acl_xattr_entry entries[5];
    } acl = {
        {htole32(POSIX_ACL_XATTR_VERSION)},
        {
            {htole16(ACL_USER_OBJ), htole16(ACL_READ | ACL_WRITE), htole32(ACL_UNDEFINED_ID)},
            {htole16(ACL_USER), htole16(ACL_READ), htole32(uid)},
            {htole16(ACL_GROUP_OBJ), htole16(readers != 0 ? ACL_READ : 0), htole32(ACL_UNDEFINED_ID)},
            {htole16(ACL_MASK), htole16(ACL_READ), htole32(ACL_UNDEFINED_ID)},
            {htole16(ACL_OTHER), 0, htole32(ACL_UNDEFINED_ID)},
        },
    };
    if (fchown(file, 0, readers) != 0 || fchmod(file, 0600) != 0)
        return false;
    if (fsetxattr(file, "system.posix_acl_access", &acl, sizeof acl, 0) == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return false;
    pam_syslog(pamh, LOG_NOTICE, "the file system of /run/pam_sc knows no ACLs: only root can read the session's card");
    return true;
}

/* Over a limit of the host's the kernel would end it by SIGXFSZ. */
static bool write_all(int file, const char *text)
{
    struct rlimit limit;
    const size_t length = strlen(text);
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return false;
    if (limit.rlim_cur < length) {
        errno = EFBIG;
        return false;
    }
    for (size_t at = 0; at < length;) {
        const ssize_t done = write(file, text + at, length - at);
        if (done < 0 && errno != EINTR)
            return false;
        at += done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* A name that nobody else has: a dot, the session and 16 random hexadecimal digits. */
static bool name_draft(const char *id, char name[NAME_SIZE])
{
    uint8_t random[8];
    const size_t length = strlen(id);
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    name[0] = '.';
    memcpy(name + 1, id, length);
    for (size_t i = 0; i < 2 * sizeof random; i++)
        name[1 + length + i] = "0123456789abcdef"[random[i / 2] >> (i % 2 * 4) & 15];
    name[1 + length + 2 * sizeof random] = '\0';
    return true;
}

/* Whether the file of that name was written before this session began: logind gives the name of a session that has ended
 * to another one, after it was itself started again. */
static bool is_left_over(int folder, const char *name, unsigned long began)
{
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode) ||
        status.st_mtim.tv_sec < 0)
        return false;
    return (unsigned long)status.st_mtim.tv_sec * 1000000 + (unsigned long)status.st_mtim.tv_nsec / 1000 < began;
}

/* Give the draft its name, unless there is one of that name and of this session. The draft is gone afterwards. */
static bool publish(int folder, const char *draft, const char *name, unsigned long began)
{
    if (is_left_over(folder, name, began))
        (void)unlinkat(folder, name, 0);
    if (renameat2(folder, draft, folder, name, RENAME_NOREPLACE) == 0)
        return true;
    const bool linked = (errno == EINVAL || errno == ENOSYS) && linkat(folder, draft, folder, name, 0) == 0;
    const int error = errno;
    (void)unlinkat(folder, draft, 0);
    errno = error;
    return linked;
}

/* Write the file into its folder; false and errno. */
static bool write_file(const pam_handle_t *pamh, int folder, const struct session *session, const char *text,
                       struct written *written)
{
    char draft[NAME_SIZE];
    struct stat status;
    gid_t readers;
    const char *const id = session->id;
    if (!name_draft(id, draft))
        return false;
    const int file = openat(folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    const bool whole = find_readers(folder, &readers) && let_them_read(pamh, file, session->uid, readers) &&
                       write_all(file, text) && fstat(file, &status) == 0;
    close_quietly(file);
    if (!whole) {
        const int error = errno;
        (void)unlinkat(folder, draft, 0);
        errno = error;
        return false;
    }
    memcpy(written->name, id, strlen(id));
    memcpy(written->name + strlen(id), ".json", sizeof ".json");
    written->device = status.st_dev;
    written->inode = status.st_ino;
    return publish(folder, draft, written->name, session->began);
}

static void free_written(pam_handle_t *pamh, void *data, int error_status)
{
    (void)pamh;
    (void)error_status;
    free(data);
}

void session_file_write(pam_handle_t *pamh, const char *account, const char *text)
{
    const char *const id = pam_getenv(pamh, "XDG_SESSION_ID");
    if (geteuid() != 0 || id == NULL || !is_session_id(id))
        return;
    const struct passwd *const entry = pam_modutil_getpwnam(pamh, account);
    unsigned long began;
    if (entry == NULL || !is_own_session(id, entry->pw_uid, &began))
        return;
    const struct session session = {id, entry->pw_uid, began};
    struct written *const written = calloc(1, sizeof *written);
    const int folder = open_folder(OURS, 2);
    if (written == NULL || folder < 0) {
        complain(pamh, "/run/pam_sc/sessions");
    } else if (!write_file(pamh, folder, &session, text, written)) {
        complain(pamh, "its file");
    } else if (pam_set_data(pamh, RECORD, written, free_written) != PAM_SUCCESS) {
        (void)unlinkat(folder, written->name, 0);
        complain(pamh, "the record of it");
    } else {
        (void)close(folder);
        return;
    }
    if (folder >= 0)
        (void)close(folder);
    free(written);
}

void session_file_remove(pam_handle_t *pamh)
{
    const void *data = NULL;
    struct stat status;
    if (pam_get_data(pamh, RECORD, &data) != PAM_SUCCESS || data == NULL)
        return;
    const struct written *const written = data;
    const int folder = open_folder(OURS, 0);
    if (folder < 0 || fstatat(folder, written->name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            pam_syslog(pamh, LOG_WARNING, "cannot remove the record of the session's card: %m");
    } else if (status.st_dev == written->device && status.st_ino == written->inode &&
               unlinkat(folder, written->name, 0) != 0) {
        pam_syslog(pamh, LOG_WARNING, "cannot remove the record of the session's card: %m");
    }
    if (folder >= 0)
        (void)close(folder);
    (void)pam_set_data(pamh, RECORD, NULL, free_written);
}
