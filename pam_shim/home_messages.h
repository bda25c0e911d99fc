/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_HOME_MESSAGES_H
#define PAM_SC_HOME_MESSAGES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HOME_CHANNEL = 3, HOME_NAME_SIZE = 257, HOME_PATHS_MAX = 4, HOME_PATH_SIZE = 256 };

/* Flags of an order: accounts with uid 0 too; any account. */
enum { HOMES_OF_ROOT = 1, HOMES_OF_ALL = 2 };

/* What may be read. */
struct home_order {
    unsigned int flags;
    uid_t uid; /* (uid_t)-1: none */
    char account[HOME_NAME_SIZE];
    char paths[HOME_PATHS_MAX][HOME_PATH_SIZE];
    size_t path_count;
};

/* What is to be read now; the path is one of the order's. */
struct home_question {
    char account[HOME_NAME_SIZE];
    const char *path;
    uint32_t limit_ms;
};

enum home_answer { HOME_ANSWER_FILE = 0x81, HOME_ANSWER_NOT_READ = 0x82 };

/* Read the order, the first message, sent by a process with our own uid. 0, or -1 for anything else. */
int read_home_order(struct home_order *order);

/* Read the next question. 1, 0 at the end of the channel, -1 for anything else. */
int read_home_question(const struct home_order *order, struct home_question *question);

/* Send an answer, which has one field. 0 or -1. */
int write_home_answer(enum home_answer type, const void *field, size_t length);

#endif
