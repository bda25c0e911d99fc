/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The home reader (docs/protocol.md, home channel). It takes one order, which the verifier gives while it still is root,
 * and reads nothing that is not in it. Each file is read by a child that has become the account for good (home_file.c
 * says how); this process itself opens no file of anybody's, holds one channel, and never looks at what is in a file.
 */
#include "home_reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "home_file.h"
#include "sandbox.h"
#include "worker.h"

#define CHANNEL 3
#define HEADER 8
#define ANSWER_HEADER 2 /* code and place, before the content, from the child */
#define MESSAGE_MAX 2048
#define NAME_SIZE 257
#define PATHS_MAX 4
#define PATH_SIZE 256
#define LIMIT_MS_MAX 60000
#define BURY_MS 500
#define NSS_FIRST_SIZE ((size_t)4096)
#define NSS_LAST_SIZE ((size_t)1 << 20)

enum message_type { MESSAGE_ORDER = 0x01, MESSAGE_READ = 0x02, MESSAGE_FILE = 0x81, MESSAGE_NOT_READ = 0x82 };
enum { ALLOW_ROOT = 1, EVERYBODY = 2, FLAGS = 3 };

struct home_order {
    unsigned int flags;
    uid_t uid; /* (uid_t)-1: none */
    char account[NAME_SIZE];
    char paths[PATHS_MAX][PATH_SIZE];
    size_t path_count;
};

struct question {
    char account[NAME_SIZE];
    const char *path;
    uint32_t limit_ms;
};

/* A message while it is taken apart. */
struct message {
    unsigned char type;
    unsigned char bytes[MESSAGE_MAX];
    size_t length;
    size_t at;
};

/* What a child has said, and how it ended. */
struct answer {
    struct home_failure failure;
    unsigned char *bytes; /* ANSWER_HEADER + HOME_FILE_MAX of them */
    size_t length;
    bool stuck; /* the child could not be buried */
};

/* Read exactly `length` bytes. 1, 0 at the end of the channel before the first, -1 otherwise. */
static int read_exactly(void *bytes, size_t length)
{
    ssize_t got = recv(CHANNEL, bytes, length, MSG_WAITALL);

    if (got == 0 && length > 0)
        return 0;
    return got == (ssize_t)length ? 1 : -1;
}

static int read_message(struct message *message)
{
    unsigned char header[HEADER];
    uint32_t length;
    int result = read_exactly(header, sizeof(header));

    if (result <= 0)
        return result;
    memcpy(&length, header + 4, sizeof(length));
    message->type = header[0];
    message->length = ntohl(length);
    message->at = 0;
    if (header[1] != 0 || header[2] != 0 || header[3] != 0 || message->length == 0 || message->length > MESSAGE_MAX)
        return -1;
    return read_exactly(message->bytes, message->length) == 1 ? 1 : -1;
}

static int write_all(const void *bytes, size_t length)
{
    const unsigned char *rest = bytes;

    while (length > 0) {
        ssize_t sent = send(CHANNEL, rest, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        rest += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* Send a message of one field. */
static int write_message(enum message_type type, const void *field, size_t length)
{
    unsigned char head[HEADER + 4] = {(unsigned char)type};
    uint32_t number = htonl((uint32_t)length + 4);

    memcpy(head + 4, &number, sizeof(number));
    number = htonl((uint32_t)length);
    memcpy(head + HEADER, &number, sizeof(number));
    return write_all(head, sizeof(head)) < 0 ? -1 : write_all(field, length);
}

/* The next field; its length, or -1 if there is none of at most `most` bytes. */
static ssize_t take_field(struct message *message, const unsigned char **field, size_t most)
{
    uint32_t length;

    if (message->length - message->at < sizeof(length))
        return -1;
    memcpy(&length, message->bytes + message->at, sizeof(length));
    length = ntohl(length);
    if (length > message->length - message->at - sizeof(length) || length > most)
        return -1;
    *field = message->bytes + message->at + sizeof(length);
    message->at += sizeof(length) + length;
    return (ssize_t)length;
}

static bool take_text(struct message *message, char *text, size_t size)
{
    const unsigned char *field;
    ssize_t length = take_field(message, &field, size - 1);

    if (length < 0 || memchr(field, '\0', (size_t)length) != NULL)
        return false;
    memcpy(text, field, (size_t)length);
    text[length] = '\0';
    return true;
}

static bool take_u32(struct message *message, uint32_t *number)
{
    const unsigned char *field;

    if (take_field(message, &field, 4) != 4)
        return false;
    memcpy(number, field, sizeof(*number));
    *number = ntohl(*number);
    return true;
}

static bool take_u8(struct message *message, unsigned int *number)
{
    const unsigned char *field;

    if (take_field(message, &field, 1) != 1)
        return false;
    *number = field[0];
    return true;
}

/* True for a relative path with no empty name, "." or ".." in it. */
static bool is_plain_path(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");

        if (length == 0 || (length <= 2 && strncmp(path, "..", length) == 0))
            return false;
        if (path[length] == '\0')
            return true;
        path += length + 1;
    }
}

static int read_order(struct home_order *order)
{
    struct message message;
    uint32_t uid;

    memset(order, 0, sizeof(*order));
    if (read_message(&message) != 1 || message.type != MESSAGE_ORDER || !take_u8(&message, &order->flags) ||
        order->flags > FLAGS || !take_u32(&message, &uid) ||
        !take_text(&message, order->account, sizeof(order->account)))
        return -1;
    order->uid = uid;
    while (message.at < message.length) {
        char *path = order->paths[order->path_count];

        if (order->path_count == PATHS_MAX || !take_text(&message, path, PATH_SIZE) || !is_plain_path(path))
            return -1;
        order->path_count++;
    }
    return order->path_count > 0 ? 0 : -1;
}

/* 1, 0 at the end of the channel, -1 for anything but a question. */
static int read_question(const struct home_order *order, struct question *question)
{
    struct message message;
    unsigned int number;
    int result = read_message(&message);

    if (result <= 0)
        return result;
    if (message.type != MESSAGE_READ || !take_u8(&message, &number) || number >= order->path_count ||
        !take_u32(&message, &question->limit_ms) || question->limit_ms == 0 || question->limit_ms > LIMIT_MS_MAX ||
        !take_text(&message, question->account, sizeof(question->account)) || question->account[0] == '\0' ||
        message.at != message.length)
        return -1;
    question->path = order->paths[number];
    return 1;
}

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
    if (entry->pw_uid == 0 && (order->flags & ALLOW_ROOT) == 0)
        return false;
    if ((order->flags & EVERYBODY) != 0)
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
static ssize_t read_file(const struct home_order *order, const struct question *question, pid_t parent,
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
static _Noreturn void be_child(const struct home_order *order, const struct question *question, pid_t parent, int out,
                               unsigned char *bytes)
{
    struct home_failure failure;
    ssize_t length = -1;
    size_t all;
    size_t sent = 0;

    (void)close(CHANNEL);
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
static void ask_child(const struct home_order *order, const struct question *question, struct answer *answer)
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
    struct question question;
    int result = read_question(order, &question);

    if (result <= 0)
        return result;
    ask_child(order, &question, &answer);
    if (answer.failure.code == HOME_READ) {
        result = write_message(MESSAGE_FILE, bytes + ANSWER_HEADER, answer.length - ANSWER_HEADER);
    } else {
        const unsigned char why[2] = {(unsigned char)answer.failure.code, (unsigned char)answer.failure.place};

        result = write_message(MESSAGE_NOT_READ, why, sizeof(why));
    }
    /* One that hangs in the kernel is not followed by others. */
    return result < 0 || answer.stuck ? -1 : 1;
}

int run_home_reader(void)
{
    unsigned char *bytes = malloc(ANSWER_HEADER + HOME_FILE_MAX + 1);
    struct home_order order;
    int result = -1;

    if (bytes != NULL && read_order(&order) == 0) {
        do
            result = serve_one(&order, bytes);
        while (result > 0);
    }
    free(bytes);
    return result == 0 ? 0 : EXIT_CRASHED;
}
