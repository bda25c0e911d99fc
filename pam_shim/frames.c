/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The frames between the shim and the verifier (docs/protocol.md) over a buffer: no descriptor, no allocation, no PAM.
 * Everything that arrives is hostile until it has passed frame_parse; the fuzzer starts here. */

#include "frames.h"

#include <string.h>

uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void write_u32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 24);
    bytes[1] = (uint8_t)(value >> 16);
    bytes[2] = (uint8_t)(value >> 8);
    bytes[3] = (uint8_t)value;
}

enum frame_progress frame_progress(const uint8_t *bytes, size_t length, size_t *missing)
{
    *missing = 0;
    if (length < FRAME_HEADER) {
        *missing = FRAME_HEADER - length;
        return FRAME_MORE;
    }
    const uint32_t payload = read_u32(bytes + 4);
    if (bytes[0] < FRAME_PROMPT || bytes[0] > FRAME_FACT || bytes[1] != 0 || bytes[2] != 0 || bytes[3] != 0 ||
        payload > FRAME_PAYLOAD_MAX || length > FRAME_HEADER + payload)
        return FRAME_MALFORMED;
    *missing = FRAME_HEADER + payload - length;
    return *missing > 0 ? FRAME_MORE : FRAME_WHOLE;
}

/* Split the first field off `rest`. */
static bool take_field(struct span *rest, struct span *field)
{
    if (rest->length < 4)
        return false;
    field->length = read_u32(rest->bytes);
    field->bytes = rest->bytes + 4;
    if (field->length > rest->length - 4)
        return false;
    rest->bytes = field->bytes + field->length;
    rest->length -= 4 + field->length;
    return true;
}

static bool take_u8(struct span *rest, uint8_t *value)
{
    struct span field;
    if (!take_field(rest, &field) || field.length != 1)
        return false;
    *value = field.bytes[0];
    return true;
}

static bool take_text(struct span *rest, struct span *text)
{
    return take_field(rest, text) && memchr(text->bytes, '\0', text->length) == NULL;
}

static bool take_nonce(struct span *rest, const uint8_t **nonce)
{
    struct span field;
    if (!take_field(rest, &field) || field.length != NONCE_LENGTH)
        return false;
    *nonce = field.bytes;
    return true;
}

static bool take_value_and_text(struct span *rest, struct incoming *frame, uint8_t least, uint8_t most)
{
    return take_u8(rest, &frame->value) && frame->value >= least && frame->value <= most &&
           take_text(rest, &frame->text) && rest->length == 0;
}

bool frame_next_choice(struct span *list, struct span *key, struct span *text)
{
    return take_text(list, key) && key->length > 0 && text_is_plain(*key) && take_text(list, text);
}

/* A list that is whole: each pair of it, and nothing behind the last. */
static bool take_choices(struct span *rest, struct span *list)
{
    struct span left, key, text;
    unsigned count = 0;
    if (!take_field(rest, list))
        return false;
    left = *list;
    while (left.length > 0) {
        if (!frame_next_choice(&left, &key, &text) || ++count > CHOICES_MAX)
            return false;
    }
    return count > 0;
}

/* Which fields a fact has depends on its kind; what a name may be is for facts.c. */
static bool take_fact(struct span *rest, struct incoming *frame)
{
    if (!take_u8(rest, &frame->value) || !take_text(rest, &frame->name) || !take_text(rest, &frame->text) ||
        rest->length > 0 || frame->text.length > FACT_VALUE_MAX)
        return false;
    switch (frame->value) {
    case FACT_VARIABLE:
        return frame->name.length > 0 && text_is_plain(frame->text);
    case FACT_SESSION_CARD:
        return frame->name.length == 0 && frame->text.length > 0;
    case FACT_PIN_TO_BE_CHANGED:
        return frame->name.length == 0 && frame->text.length == 0;
    default:
        return false;
    }
}

bool frame_parse(const uint8_t *bytes, size_t length, struct incoming *frame)
{
    size_t missing;
    *frame = (struct incoming){0};
    if (frame_progress(bytes, length, &missing) != FRAME_WHOLE)
        return false;
    struct span rest = {bytes + FRAME_HEADER, length - FRAME_HEADER};
    frame->type = (enum frame_type)bytes[0];
    switch (frame->type) {
    case FRAME_PROMPT:
        return take_value_and_text(&rest, frame, PROMPT_SECRET, PROMPT_STACKED);
    case FRAME_MESSAGE:
        return take_value_and_text(&rest, frame, MESSAGE_INFORMATION, MESSAGE_ERROR);
    case FRAME_LOG:
        return take_value_and_text(&rest, frame, 1, 7);
    case FRAME_VERDICT:
        return take_nonce(&rest, &frame->nonce) && take_u8(&rest, &frame->function) && take_text(&rest, &frame->text) &&
               take_u8(&rest, &frame->value) && rest.length == 0;
    case FRAME_CHOICE:
        return take_text(&rest, &frame->text) && take_choices(&rest, &frame->list) && rest.length == 0;
    case FRAME_WAIT:
        return take_text(&rest, &frame->text) && rest.length == 0;
    case FRAME_WAITED:
        return rest.length == 0;
    case FRAME_FACT:
        return take_fact(&rest, frame);
    case FRAME_REQUEST:
    case FRAME_ANSWER:
        break;
    }
    return false;
}

void frame_begin(struct outgoing *frame, enum frame_type type)
{
    memset(frame->bytes, 0, FRAME_HEADER);
    frame->bytes[0] = (uint8_t)type;
    frame->length = FRAME_HEADER;
    frame->overflow = false;
}

void frame_put(struct outgoing *frame, const void *bytes, size_t length)
{
    if (frame->overflow || length > FRAME_MAX || frame->length + 4 + length > FRAME_MAX) {
        frame->overflow = true;
        return;
    }
    write_u32(frame->bytes + frame->length, (uint32_t)length);
    if (length > 0)
        memcpy(frame->bytes + frame->length + 4, bytes, length);
    frame->length += 4 + length;
}

void frame_put_u8(struct outgoing *frame, uint8_t value)
{
    frame_put(frame, &value, sizeof value);
}

void frame_put_u32(struct outgoing *frame, uint32_t value)
{
    uint8_t bytes[4];
    write_u32(bytes, value);
    frame_put(frame, bytes, sizeof bytes);
}

bool frame_end(struct outgoing *frame)
{
    write_u32(frame->bytes + 4, (uint32_t)(frame->length - FRAME_HEADER));
    return !frame->overflow;
}
