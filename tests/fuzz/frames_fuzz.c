/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target for everything of the shim that reads bytes of the verifier: framing, parsing and cleaning, over the
 * input as one stream, in the pieces in which dialogue.c reads it. Besides memory errors it holds them to what the rest
 * of the shim relies on; a broken promise aborts.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I pam_shim tests/fuzz/frames_fuzz.c pam_shim/frames.c pam_shim/text.c
 */

#include <stdlib.h>
#include <string.h>

#include "frames.h"

static void promise(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(struct span text, size_t size)
{
    char line[1024];
    memset(line, 'x', sizeof line);
    text_clean(text, line, size);
    const size_t length = strlen(line);
    promise(length < size);
    promise(text_is_plain((struct span){(const uint8_t *)line, length}));
    if (text_is_plain(text) && text.length < size && memchr(text.bytes, 0, text.length) == NULL)
        promise(length == text.length && memcmp(line, text.bytes, length) == 0);
}

static void check_list(struct span list)
{
    struct span key, text;
    unsigned count = 0;
    while (list.length > 0) {
        promise(frame_next_choice(&list, &key, &text) && key.length > 0 && text_is_plain(key));
        promise(memchr(text.bytes, 0, text.length) == NULL && ++count <= CHOICES_MAX);
    }
    promise(count > 0);
}

static void check_frame(const uint8_t *bytes, size_t length)
{
    struct incoming frame;
    struct outgoing again;
    if (!frame_parse(bytes, length, &frame))
        return;
    if (frame.type == FRAME_WAITED) {
        promise(length == FRAME_HEADER);
        return;
    }
    promise(frame.text.bytes >= bytes && frame.text.bytes + frame.text.length <= bytes + length);
    promise(memchr(frame.text.bytes, 0, frame.text.length) == NULL);
    frame_begin(&again, frame.type);
    if (frame.type == FRAME_VERDICT) {
        frame_put(&again, frame.nonce, NONCE_LENGTH);
        frame_put_u8(&again, frame.function);
        frame_put(&again, frame.text.bytes, frame.text.length);
        frame_put_u8(&again, frame.value);
    } else if (frame.type == FRAME_CHOICE) {
        check_list(frame.list);
        frame_put(&again, frame.text.bytes, frame.text.length);
        frame_put(&again, frame.list.bytes, frame.list.length);
    } else if (frame.type == FRAME_WAIT) {
        frame_put(&again, frame.text.bytes, frame.text.length);
    } else if (frame.type == FRAME_FACT) {
        frame_put_u8(&again, frame.value);
        frame_put(&again, frame.name.bytes, frame.name.length);
        frame_put(&again, frame.text.bytes, frame.text.length);
    } else {
        frame_put_u8(&again, frame.value);
        frame_put(&again, frame.text.bytes, frame.text.length);
    }
    promise(frame_end(&again) && again.length == length && memcmp(again.bytes, bytes, length) == 0);
    check_text(frame.text, 1 + frame.value);
    check_text(frame.text, 1024);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const buffer = malloc(FRAME_MAX);
    size_t length = 0;
    promise(buffer != NULL);
    for (;;) {
        size_t missing;
        const enum frame_progress progress = frame_progress(buffer, length, &missing);
        promise(length + missing <= FRAME_MAX);
        promise((progress == FRAME_MORE) == (missing > 0));
        if (progress == FRAME_MALFORMED)
            break;
        if (progress == FRAME_WHOLE) {
            check_frame(buffer, length);
            length = 0;
            continue;
        }
        const size_t piece = missing < size ? missing : size;
        if (piece == 0)
            break;
        memcpy(buffer + length, data, piece);
        length += piece;
        data += piece;
        size -= piece;
    }
    free(buffer);
    return 0;
}
