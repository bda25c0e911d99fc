/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts that come from a card, a configuration or a stranger at a prompt, made fit to be shown, logged or sent on. Pure
 * over its arguments: nothing is allocated, and no locale is asked, because the host's locale is none of our business. */

#include "text.h"

#include <string.h>

struct character {
    size_t length; /* 1 to 4 bytes; 0 where no UTF-8 character begins */
    uint32_t code;
};

/* How a character of each length begins, and the least code that needs so many bytes (RFC 3629). */
static const struct {
    uint8_t mask, lead;
    uint32_t least;
} FORMS[] = {
    {0x80, 0x00, 0x0},
    {0xe0, 0xc0, 0x80},
    {0xf0, 0xe0, 0x800},
    {0xf8, 0xf0, 0x10000},
};

static struct character first_character(struct span text)
{
    const struct character none = {0, 0};
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if ((text.bytes[0] & FORMS[i].mask) != FORMS[i].lead)
            continue;
        if (i + 1 > text.length)
            return none;
        uint32_t code = text.bytes[0] & (uint8_t)~FORMS[i].mask;
        for (size_t k = 1; k <= i; k++) {
            if ((text.bytes[k] & 0xc0) != 0x80)
                return none;
            code = code << 6 | (text.bytes[k] & 0x3f);
        }
        if (code < FORMS[i].least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return none;
        return (struct character){i + 1, code};
    }
    return none;
}

/* C0, DEL, C1, the line and paragraph separators, and what reorders the text around it (embeddings, overrides, isolates). */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void text_clean(struct span from, char *to, size_t size)
{
    size_t at = 0;
    while (from.length > 0) {
        const struct character next = first_character(from);
        const bool shown = next.length > 0 && !is_control(next.code);
        const size_t taken = next.length > 0 ? next.length : 1;
        const size_t written = shown ? next.length : 1;
        if (at + written >= size)
            break;
        if (shown)
            memcpy(to + at, from.bytes, written);
        else
            to[at] = '?';
        at += written;
        from.bytes += taken;
        from.length -= taken;
    }
    to[at] = '\0';
}

bool text_is_plain(struct span text)
{
    while (text.length > 0) {
        const struct character next = first_character(text);
        if (next.length == 0 || is_control(next.code))
            return false;
        text.bytes += next.length;
        text.length -= next.length;
    }
    return true;
}
