/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GDM's choice list, one of its extensions of PAM: gdm-session-worker names those that it understands in the variable
 * GDM_SUPPORTED_PAM_EXTENSIONS, with spaces between them; a name's place in it, from 0, is the type of its messages. Such
 * a message is a PAM_BINARY_PROMPT that points to a structure instead of a text, and so is the answer.
 *
 * It is looked at only where real, effective and saved uid are root's: so no person who calls a setuid program, and no
 * session, can have a list shown. What the answer says counts
 * only if it is a key of the list.
 */

#include "choice.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const char VARIABLE[] = "GDM_SUPPORTED_PAM_EXTENSIONS";
static const char CHOICE_LIST[] = "org.gnome.DisplayManager.UserVerifier.ChoiceList";

enum { TYPE_MAX = 255 };

/* How every message of an extension begins. */
struct extension_header {
    uint32_t length; /* of the whole structure, big-endian */
    uint8_t type;
};

struct choice_item {
    const char *key;
    const char *text;
};

struct choice_request {
    struct extension_header header;
    const char *prompt;
    size_t count;
    struct choice_item items[CHOICES_MAX]; /* as many as `count` are sent */
};

struct choice_response {
    struct extension_header header;
    const char *key;
};

int choice_find_type(const struct caller *caller)
{
    if (!caller_is_root(caller))
        return -1;
    const char *at = secure_getenv(VARIABLE);
    for (int type = 0; at != NULL && type <= TYPE_MAX; type++) {
        at += strspn(at, " ");
        const size_t length = strcspn(at, " ");
        if (length == 0)
            return -1;
        if (length == strlen(CHOICE_LIST) && memcmp(at, CHOICE_LIST, length) == 0)
            return type;
        at += length;
    }
    return -1;
}

/* Add a text to those that the request points to. They always fit: each is shorter there than in the frame. */
static const char *place(struct span text, char **free_place, const char *end)
{
    char *const placed = *free_place;
    text_clean(text, placed, (size_t)(end - placed));
    *free_place += strlen(placed) + 1;
    return placed;
}

/* The key that the response holds; NULL where it is none of ours, and so anything else. The host allocated the response
 * and its key apart; whose the key is then GDM does not say, so it is left alone. */
static const char *chosen_key(const struct pam_response *response, const struct choice_request *request)
{
    struct choice_response said;
    if (response == NULL || response->resp == NULL)
        return NULL;
    memcpy(&said.header, response->resp, sizeof said.header);
    if (ntohl(said.header.length) < sizeof said || said.header.type != request->header.type)
        return NULL;
    memcpy(&said, response->resp, sizeof said);
    for (size_t i = 0; said.key != NULL && i < request->count; i++) {
        if (strcmp(said.key, request->items[i].key) == 0)
            return request->items[i].key;
    }
    return NULL;
}

void choice_ask(const pam_handle_t *pamh, int type, const struct incoming *choice, struct answer *answer)
{
    char texts[FRAME_PAYLOAD_MAX];
    char *free_place = texts;
    const char *const end = texts + sizeof texts;
    struct choice_request request = {.header = {.type = (uint8_t)type}, .count = 0};
    struct span list = choice->list, key, text;
    request.prompt = place(choice->text, &free_place, end);
    while (request.count < CHOICES_MAX && frame_next_choice(&list, &key, &text)) {
        const char *const placed = place(key, &free_place, end);
        request.items[request.count++] = (struct choice_item){placed, place(text, &free_place, end)};
    }
    const size_t length = offsetof(struct choice_request, items) + request.count * sizeof request.items[0];
    request.header.length = htonl((uint32_t)length);
    const struct pam_message message = {.msg_style = PAM_BINARY_PROMPT, .msg = (const char *)&request};
    struct pam_response *response;
    *answer = (struct answer){.status = ANSWER_CONVERSATION_FAILED};
    const int code = conversation_send(pamh, &message, &response);
    const char *const chosen = code == PAM_SUCCESS ? chosen_key(response, &request) : NULL;
    if (chosen != NULL && strlen(chosen) <= ANSWER_MAX) {
        answer->length = strlen(chosen);
        memcpy(answer->bytes, chosen, answer->length);
    }
    if (code == PAM_SUCCESS)
        answer->status = answer->length > 0 ? ANSWER_ANSWERED : ANSWER_NOT_GIVEN;
    else if (code == PAM_CONV_AGAIN)
        answer->status = ANSWER_AGAIN;
    if (response != NULL)
        free(response->resp);
    free(response);
}
