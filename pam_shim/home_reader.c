/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The home reader (docs/protocol.md, home channel). It takes one order, which the verifier gives while it still is root,
 * and reads nothing that is not in it. Each file is read by a child that has become the account for good (home_file.c
 * says how); this process itself opens no file of anybody's, holds one channel, and never looks at what is in a file.
 */
#include "home_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "home_file.h"
#include "home_messages.h"
#include "sandbox.h"
#include "worker.h"

#define ANSWER_HEADER 2 /* code and place, before the content, from the child */
#define BURY_MS 500
#define NSS_FIRST_SIZE ((size_t)4096)
#define NSS_LAST_SIZE ((size_t)1 << 20)

/* What a child has said, and how it ended. */
struct answer {
    struct home_failure failure;
    unsigned char *bytes; /* ANSWER_HEADER + HOME_FILE_MAX of them */
    size_t length;
    bool stuck; /* the child could not be buried */
};

/* In the child: what getpwnam(3) knows about an account; `*buffer` holds its texts. */
static enum home_code look_up(const char *name, struct passwd *entry, char **buffer)
{
    int error = ERANGE;

    *buffer = NULL;
    for (size_t size = NSS_FIRST_SIZE; error == ERANGE && size <= NSS_LAST_SIZE; size *= 4) {
        struct passwd *found = NULL;
        char *larger = realloc(*buffer, size);

        if (larger == NULL)
            return HOME_LOOKUP_FAILED;
        *buffer = larger;
        error = getpwnam_r(name, entry, *buffer, size, &found);
        if (error == 0 && found != NULL)
            return strcmp(entry->pw_name, name) == 0 ? HOME_READ : HOME_NO_ACCOUNT;
    }
    return error == 0 || error == ENOENT || error == ESRCH ? HOME_NO_ACCOUNT : HOME_LOOKUP_FAILED;
}

static bool is_ordered(const struct home_order *order, const struct passwd *entry)
{
    if (entry->pw_uid == (uid_t)-1 || (getuid() != 0 && entry->pw_uid != getuid()))
        return false;
    if (entry->pw_uid == 0 && (order->flags & HOMES_OF_ROOT) == 0)
        return false;
    if ((order->flags & HOMES_OF_ALL) != 0)
        return true;
    if (order->account[0] != '\0')
        return strcmp(order->account, entry->pw_name) == 0;
    return order->uid != (uid_t)-1 && order->uid == entry->pw_uid;
}

static int lower(int resource, rlim_t wanted)
{
    const struct rlimit limit = {wanted, wanted};

    return setrlimit((__rlimit_resource_t)resource, &limit);
}

/* In the child: be the account and nothing else, for good. */
static int become(const struct passwd *entry, pid_t parent)
{
    uid_t uids[3];
    gid_t gids[3];

    if (getuid() == 0 &&
        (initgroups(entry->pw_name, entry->pw_gid) < 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
         setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0))
        return -1;
    if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++) {
        if (uids[i] != entry->pw_uid || gids[i] != gids[0])
            return -1;
    }
    if (drop_capabilities() < 0 || forbid_new_privileges() < 0 || forbid_dumps() < 0 || die_with_parent(parent) < 0)
        return -1;
    return lower(RLIMIT_NPROC, 0) < 0 || lower(RLIMIT_FSIZE, 0) < 0 || lower(RLIMIT_NOFILE, 16) < 0 ? -1 : 0;
}

/* In the child: read all of a file, which may grow meanwhile; the bytes read, or -1. */
static ssize_t read_whole(int file, unsigned char *bytes, struct home_failure *failure)
{
    size_t length = 0;

    while (length <= HOME_FILE_MAX) {
        ssize_t got = read(file, bytes + length, HOME_FILE_MAX + 1 - length);

        if (got == 0)
            return (ssize_t)length;
        if (got < 0 && errno != EINTR) {
            *failure = (struct home_failure){HOME_BROKEN, PLACE_FILE};
            return -1;
        }
        length += got < 0 ? 0 : (size_t)got;
    }
    *failure = (struct home_failure){HOME_TOO_LARGE, PLACE_FILE};
    return -1;
}

/* In the child: read the file of a question. */
static ssize_t read_file(const struct home_order *order, const struct home_question *question, pid_t parent,
                         unsigned char *bytes, struct home_failure *failure)
{
    struct passwd entry;
    char *texts;
    int file;

    *failure = (struct home_failure){look_up(question->account, &entry, &texts), PLACE_NOWHERE};
    if (failure->code != HOME_READ)
        return -1;
    failure->code = HOME_NOT_ORDERED;
    if (!is_ordered(order, &entry))
        return -1;
    failure->code = HOME_NO_IDENTITY;
    if (become(&entry, parent) < 0)
        return -1;
    file = open_home_file(entry.pw_dir, question->path, entry.pw_uid, failure);
    return file < 0 ? -1 : read_whole(file, bytes, failure);
}

/* The child: it says code and place, then the content; exit status 0 says that this was all. */
static _Noreturn void be_child(const struct home_order *order, const struct home_question *question, pid_t parent,
                               int out, unsigned char *bytes)
{
    struct home_failure failure;
    ssize_t length = -1;
    size_t all;
    size_t sent = 0;

    (void)close(HOME_CHANNEL);
    if (die_with_parent(parent) < 0)
        _exit(EXIT_CRASHED);
    length = read_file(order, question, parent, bytes + ANSWER_HEADER, &failure);
    bytes[0] = length < 0 ? (unsigned char)failure.code : HOME_READ;
    bytes[1] = length < 0 ? (unsigned char)failure.place : PLACE_NOWHERE;
    all = ANSWER_HEADER + (length < 0 ? 0 : (size_t)length);
    while (sent < all) {
        ssize_t written = write(out, bytes + sent, all - sent);

        if (written <= 0)
            _exit(EXIT_CRASHED);
        sent += (size_t)written;
    }
    _exit(0);
}

/* Take what a child says until it closes its end; false when the time is over. */
static bool listen_to(int in, int64_t deadline, struct answer *answer)
{
    struct pollfd watched = {.fd = in, .events = POLLIN};

    answer->length = 0;
    while (answer->length <= ANSWER_HEADER + HOME_FILE_MAX) {
        int64_t left = deadline - now_ms();
        ssize_t got;

        if (left <= 0 || poll(&watched, 1, (int)left) <= 0)
            return false;
        got = read(in, answer->bytes + answer->length, ANSWER_HEADER + HOME_FILE_MAX + 1 - answer->length);
        if (got <= 0)
            return got == 0;
        answer->length += (size_t)got;
    }
    return true;
}

/* End the child whatever it does, and say what came of it. */
static void conclude(struct child *child, bool complete, int64_t deadline, struct answer *answer)
{
    int failed = 1;

    if (!complete || !bury_child(child, deadline, &failed)) {
        kill_child(child);
        answer->stuck = !bury_child(child, now_ms() + BURY_MS, &failed);
        answer->failure = (struct home_failure){HOME_TIME_OVER, PLACE_NOWHERE};
    } else if (failed || answer->length < ANSWER_HEADER || answer->length > ANSWER_HEADER + HOME_FILE_MAX) {
        answer->failure = (struct home_failure){HOME_INTERRUPTED, PLACE_NOWHERE};
    } else {
        answer->failure = (struct home_failure){answer->bytes[0], answer->bytes[1]};
    }
}

/* Have a child read the file. */
static void ask_child(const struct home_order *order, const struct home_question *question, struct answer *answer)
{
    int64_t deadline = now_ms() + question->limit_ms;
    struct child child = {-1};
    pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    answer->failure = (struct home_failure){HOME_BROKEN, PLACE_NOWHERE};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        be_child(order, question, parent, ends[1], answer->bytes);
    }
    (void)close(ends[1]);
    if (pid > 0) {
        child.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (child.pidfd < 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        } else {
            conclude(&child, listen_to(ends[0], deadline, answer), deadline, answer);
        }
    }
    (void)close(ends[0]);
}

/* 1, 0 at the end of the channel, -1 if it cannot go on. */
static int serve_one(const struct home_order *order, unsigned char *bytes)
{
    struct answer answer = {.bytes = bytes};
    struct home_question question;
    int result = read_home_question(order, &question);

    if (result <= 0)
        return result;
    ask_child(order, &question, &answer);
    if (answer.failure.code == HOME_READ) {
        result = write_home_answer(HOME_ANSWER_FILE, bytes + ANSWER_HEADER, answer.length - ANSWER_HEADER);
    } else {
        const unsigned char why[2] = {(unsigned char)answer.failure.code, (unsigned char)answer.failure.place};

        result = write_home_answer(HOME_ANSWER_NOT_READ, why, sizeof(why));
    }
    /* One that hangs in the kernel is not followed by others. */
    return result < 0 || answer.stuck ? -1 : 1;
}

int run_home_reader(void)
{
    unsigned char *bytes = malloc(ANSWER_HEADER + HOME_FILE_MAX + 1);
    struct home_order order;
    int result = -1;

    if (bytes != NULL && read_home_order(&order) == 0) {
        do
            result = serve_one(&order, bytes);
        while (result > 0);
    }
    free(bytes);
    return result == 0 ? 0 : EXIT_CRASHED;
}
