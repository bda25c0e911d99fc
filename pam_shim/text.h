/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_TEXT_H
#define PAM_SC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of somebody else's, not terminated. */
struct span {
    const uint8_t *bytes;
    size_t length;
};

/* Copy `from` into to[0..size) as a terminated line that a terminal and a log can take: each control character and each
 * byte that is not UTF-8 becomes '?', and what does not fit is cut off between two characters. `size` is at least 1. */
void text_clean(struct span from, char *to, size_t size);

/* Whether all of `text` is UTF-8 and none of it a control character. */
bool text_is_plain(struct span text);

#endif
