/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The home reader's end of its channel (docs/protocol.md): messages are read whole, within their bounds, or not at all;
 * the order only from a process that has our own uid while it sends, by the kernel's word.
 */
#include "home_messages.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 8
#define MESSAGE_MAX 2048
#define LIMIT_MS_MAX 60000

enum message_type { MESSAGE_ORDER = 0x01, MESSAGE_READ = 0x02 };

/* A message while it is taken apart. */
struct message {
    unsigned char type;
    unsigned char bytes[MESSAGE_MAX];
    size_t length;
    size_t at;
};

/* Reads exactly `length` bytes. 1, 0 at the end of the channel before the first, -1 otherwise. */
typedef int reader(void *bytes, size_t length);

static int read_exactly(void *bytes, size_t length)
{
    ssize_t got = recv(HOME_CHANNEL, bytes, length, MSG_WAITALL);

    if (got == 0 && length > 0)
        return 0;
    return got == (ssize_t)length ? 1 : -1;
}

/* The uid that the kernel noted of the sender; (uid_t)-1 if it noted none. */
static uid_t sender_of(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    struct ucred sender;

    if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS ||
        header->cmsg_len != CMSG_LEN(sizeof(sender)))
        return (uid_t)-1;
    memcpy(&sender, CMSG_DATA(header), sizeof(sender));
    return sender.uid;
}

/* As read_exactly, and each byte was sent by a process that had our uid then. What others send is never put together. */
static int read_from_our_uid(void *bytes, size_t length)
{
    unsigned char *rest = bytes;

    while (length > 0) {
        _Alignas(struct cmsghdr) char note[CMSG_SPACE(sizeof(struct ucred))];
        struct iovec piece = {rest, length};
        struct msghdr message = {
            .msg_iov = &piece, .msg_iovlen = 1, .msg_control = note, .msg_controllen = sizeof(note)};
        ssize_t got = recvmsg(HOME_CHANNEL, &message, 0);

        if (got <= 0 || sender_of(&message) != getuid())
            return -1;
        rest += got;
        length -= (size_t)got;
    }
    return 1;
}

static int note_senders(int noted)
{
    return setsockopt(HOME_CHANNEL, SOL_SOCKET, SO_PASSCRED, &noted, sizeof(noted));
}

static int read_message(struct message *message, reader *read_bytes)
{
    unsigned char header[HEADER];
    uint32_t length;
    int result = read_bytes(header, sizeof(header));

    if (result <= 0)
        return result;
    memcpy(&length, header + 4, sizeof(length));
    message->type = header[0];
    message->length = ntohl(length);
    message->at = 0;
    if (header[1] != 0 || header[2] != 0 || header[3] != 0 || message->length == 0 || message->length > MESSAGE_MAX)
        return -1;
    return read_bytes(message->bytes, message->length) == 1 ? 1 : -1;
}

static int write_all(const void *bytes, size_t length)
{
    const unsigned char *rest = bytes;

    while (length > 0) {
        ssize_t sent = send(HOME_CHANNEL, rest, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        rest += sent;
        length -= (size_t)sent;
    }
    return 0;
}

int write_home_answer(enum home_answer type, const void *field, size_t length)
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

int read_home_order(struct home_order *order)
{
    struct message message;
    uint32_t uid;

    memset(order, 0, sizeof(*order));
    if (note_senders(1) < 0 || read_message(&message, read_from_our_uid) != 1 || note_senders(0) < 0 ||
        message.type != MESSAGE_ORDER || !take_u8(&message, &order->flags) ||
        order->flags > (HOMES_OF_ROOT | HOMES_OF_ALL) || !take_u32(&message, &uid) ||
        !take_text(&message, order->account, sizeof(order->account)))
        return -1;
    order->uid = uid;
    while (message.at < message.length) {
        char *path = order->paths[order->path_count];

        if (order->path_count == HOME_PATHS_MAX || !take_text(&message, path, HOME_PATH_SIZE) || !is_plain_path(path))
            return -1;
        order->path_count++;
    }
    return order->path_count > 0 ? 0 : -1;
}

int read_home_question(const struct home_order *order, struct home_question *question)
{
    struct message message;
    unsigned int number;
    int result = read_message(&message, read_exactly);

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
