/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_FRAMES_H
#define PAM_SC_FRAMES_H

#include "text.h"

enum { FRAME_HEADER = 8, FRAME_PAYLOAD_MAX = 8192, FRAME_MAX = FRAME_HEADER + FRAME_PAYLOAD_MAX, NONCE_LENGTH = 32 };

enum frame_type {
    FRAME_REQUEST = 0x01,
    FRAME_ANSWER = 0x02,
    FRAME_PROMPT = 0x10,
    FRAME_MESSAGE = 0x11,
    FRAME_LOG = 0x12,
    FRAME_VERDICT = 0x13,
    FRAME_CHOICE = 0x14,
    FRAME_WAIT = 0x15,
    FRAME_WAITED = 0x16,
    FRAME_FACT = 0x17,
};

enum prompt_style { PROMPT_SECRET = 1, PROMPT_ECHOED = 2, PROMPT_STACKED = 3 };
enum message_kind { MESSAGE_INFORMATION = 1, MESSAGE_ERROR = 2 };
enum fact_kind { FACT_VARIABLE = 1, FACT_SESSION_CARD = 2, FACT_PIN_TO_BE_CHANGED = 3 };
enum { CHOICES_MAX = 32, FACT_VALUE_MAX = 4096 };

/* A frame from the verifier. Its texts point into the bytes it was read from. */
struct incoming {
    enum frame_type type;
    uint8_t value;        /* PROMPT: style; MESSAGE, FACT: kind; LOG: severity; VERDICT: PAM code */
    uint8_t function;     /* VERDICT */
    const uint8_t *nonce; /* VERDICT: NONCE_LENGTH bytes */
    struct span text;     /* PROMPT, MESSAGE, LOG, CHOICE, WAIT: the text; VERDICT: the account; FACT: the value */
    struct span name;     /* FACT */
    struct span list;     /* CHOICE: 1 to CHOICES_MAX pairs, for frame_next_choice */
};

/* A frame to the verifier while it is being written. */
struct outgoing {
    uint8_t bytes[FRAME_MAX];
    size_t length;
    bool overflow;
};

enum frame_progress { FRAME_MORE, FRAME_WHOLE, FRAME_MALFORMED };

/* Say whether bytes[0..length) are one whole frame; FRAME_MORE sets *missing to the bytes that may be read next without
 * reading past the frame. A frame that the verifier may not send is FRAME_MALFORMED as early as its header shows it. */
enum frame_progress frame_progress(const uint8_t *bytes, size_t length, size_t *missing);

/* Take a whole frame apart; false if a field is missing, too many, or out of its range. */
bool frame_parse(const uint8_t *bytes, size_t length, struct incoming *frame);

/* Split the first pair off the list of a CHOICE; false at its end. Each key is plain text and not empty. */
bool frame_next_choice(struct span *list, struct span *key, struct span *text);

void frame_begin(struct outgoing *frame, enum frame_type type);
void frame_put(struct outgoing *frame, const void *bytes, size_t length);
void frame_put_u8(struct outgoing *frame, uint8_t value);
void frame_put_u32(struct outgoing *frame, uint32_t value);
/* Write the length into the header; false if the fields did not fit, and then the frame must not be sent. */
bool frame_end(struct outgoing *frame);

uint32_t read_u32(const uint8_t *bytes);
void write_u32(uint8_t *bytes, uint32_t value);

#endif
