/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that speaks to a person. One message a call, because hosts disagree about more
 * (a list, which is no text, comes from choice.c); texts are cleaned before
 * they are shown, and whatever a host hands back is wiped over its whole length and freed, on every path. Time is not
 * kept here: a host may take for ever, and only the caller knows what that means. */

#include "conversation.h"

#include <stdlib.h>
#include <string.h>

/* Bytewise and through volatile, as the copy below: strlen and memcpy leave pieces of a secret in vector registers, and
 * the dynamic linker of a host that binds lazily writes those to its stack. */
static size_t length_of(const volatile char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

/* Judge an answer, and copy it if it is one.
 *
 *     NULL             not given (misc_conv returns it on end of file, with PAM_SUCCESS)
 *     ""               empty
 *     over ANSWER_MAX  too long: cut off it would be another PIN
 */
static void take_answer(const volatile char *text, struct answer *answer)
{
    const size_t length = text != NULL ? length_of(text) : 0;
    if (text == NULL) {
        answer->status = ANSWER_NOT_GIVEN;
    } else if (length == 0) {
        answer->status = ANSWER_EMPTY;
    } else if (length > ANSWER_MAX) {
        answer->status = ANSWER_TOO_LONG;
    } else {
        for (size_t i = 0; i < length; i++)
            answer->bytes[i] = (uint8_t)text[i];
        answer->length = length;
        answer->status = ANSWER_ANSWERED;
    }
}

static void wipe_response(struct pam_response *response)
{
    if (response == NULL)
        return;
    if (response->resp != NULL) {
        explicit_bzero(response->resp, length_of(response->resp));
        free(response->resp);
    }
    free(response);
}

int conversation_send(const pam_handle_t *pamh, const struct pam_message *message, struct pam_response **response)
{
    const void *item = NULL;
    *response = NULL;
    if (pam_get_item(pamh, PAM_CONV, &item) != PAM_SUCCESS || item == NULL)
        return PAM_CONV_ERR;
    const struct pam_conv *conversation = item;
    if (conversation->conv == NULL)
        return PAM_CONV_ERR;
    return conversation->conv(1, &message, response, conversation->appdata_ptr);
}

/* Send a text. The caller wipes *response, which is NULL where there is none. */
static int converse(const pam_handle_t *pamh, int pam_style, struct span text, struct pam_response **response)
{
    char line[PAM_MAX_MSG_SIZE];
    text_clean(text, line, sizeof line);
    const struct pam_message message = {.msg_style = pam_style, .msg = line};
    return conversation_send(pamh, &message, response);
}

void conversation_ask(const pam_handle_t *pamh, int pam_style, struct span text, struct answer *answer)
{
    struct pam_response *response;
    *answer = (struct answer){.status = ANSWER_CONVERSATION_FAILED};
    switch (converse(pamh, pam_style, text, &response)) {
    case PAM_SUCCESS:
        take_answer(response != NULL ? response->resp : NULL, answer);
        break;
    case PAM_CONV_AGAIN:
        answer->status = ANSWER_AGAIN;
        break;
    default:
        break;
    }
    wipe_response(response);
}

void conversation_tell(const pam_handle_t *pamh, int pam_style, struct span text)
{
    struct pam_response *response;
    (void)converse(pamh, pam_style, text, &response);
    wipe_response(response);
}

void conversation_stacked(const pam_handle_t *pamh, struct answer *answer)
{
    const void *item = NULL;
    *answer = (struct answer){.status = ANSWER_NOT_STACKED};
    if (pam_get_item(pamh, PAM_AUTHTOK, &item) == PAM_SUCCESS && item != NULL)
        take_answer((const volatile char *)item, answer);
}
