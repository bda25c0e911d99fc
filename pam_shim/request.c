/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked of the verifier: who the host is, what PAM knows, and a fresh nonce that the verdict must echo. It puts
 * facts together and judges none of them, except that a text must be one: what is no plain UTF-8, or longer than any
 * honest name, is refused here, where nothing has been started yet. */

#include "request.h"

#include <locale.h>
#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <syslog.h>

#include "choice.h"

static const char LOGIN_TOKEN[] = "PKCS11_LOGIN_TOKEN_NAME";

enum { PROTOCOL_VERSION = 3, SURROUNDING_MAX = 128, EXTENSION_CHOICE_LIST = 1 };

/* In the order of REQUEST. What a text that is none means differs: there is no account of such a name. */
static const struct {
    int item;
    const char *name;
    int refusal;
} ITEMS[] = {
    {PAM_SERVICE, "service", PAM_SYSTEM_ERR},   {PAM_USER, "account", PAM_USER_UNKNOWN},
    {PAM_RHOST, "remote host", PAM_SYSTEM_ERR}, {PAM_RUSER, "remote user", PAM_SYSTEM_ERR},
    {PAM_TTY, "terminal", PAM_SYSTEM_ERR},
};

bool request_read_item(const pam_handle_t *pamh, int item, const char **text)
{
    const void *value = NULL;
    if (pam_get_item(pamh, item, &value) != PAM_SUCCESS)
        return false;
    *text = value != NULL ? value : "";
    return true;
}

static int put_items(const pam_handle_t *pamh, struct request *request, struct outgoing *frame)
{
    for (size_t i = 0; i < sizeof ITEMS / sizeof ITEMS[0]; i++) {
        const char *text;
        if (!request_read_item(pamh, ITEMS[i].item, &text)) {
            pam_syslog(pamh, LOG_CRIT, "cannot read the %s from PAM", ITEMS[i].name);
            return PAM_SYSTEM_ERR;
        }
        const size_t length = strlen(text);
        if (length > ITEM_MAX || !text_is_plain((struct span){(const uint8_t *)text, length})) {
            pam_syslog(pamh, LOG_NOTICE, "refused: the %s is no plain text of at most %d bytes", ITEMS[i].name,
                       ITEM_MAX);
            return ITEMS[i].refusal;
        }
        if (ITEMS[i].item == PAM_USER)
            memcpy(request->account, text, length + 1);
        frame_put(frame, text, length);
    }
    return 0;
}

/* The token of the session that is unlocked: of the handle, else, where the host is root's alone, of its environment. GDM
 * starts who unlocks a session with that session's variables and puts none of them into the handle. */
static const char *login_token(pam_handle_t *pamh, const struct caller *caller)
{
    const char *const told = pam_getenv(pamh, LOGIN_TOKEN);
    return told != NULL || !caller_is_root(caller) ? told : secure_getenv(LOGIN_TOKEN);
}

/* What the host says beside PAM's items: its language, the token of the login, the extensions that it understands. What is
 * no plain text counts as not said: none of it is needed. */
static void put_surroundings(pam_handle_t *pamh, const struct request *request, struct outgoing *frame)
{
    const char *const said[] = {setlocale(LC_MESSAGES, NULL), login_token(pamh, &request->caller)};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        const char *const text = said[i] != NULL ? said[i] : "";
        const size_t length = strnlen(text, SURROUNDING_MAX + 1);
        const bool usable = length <= SURROUNDING_MAX && text_is_plain((struct span){(const uint8_t *)text, length});
        frame_put(frame, text, usable ? length : 0);
    }
    frame_put_u32(frame, request->choice_list >= 0 ? EXTENSION_CHOICE_LIST : 0);
}

/* Real, effective and saved uid, then the same of the gid: 24 bytes. */
static void write_ids(uint8_t *bytes, const struct caller *caller)
{
    for (size_t i = 0; i < 3; i++) {
        write_u32(bytes + 4 * i, (uint32_t)caller->uids[i]);
        write_u32(bytes + 12 + 4 * i, (uint32_t)caller->gids[i]);
    }
}

static void write_order(const struct request *request, uint8_t order[ORDER_LENGTH])
{
    memcpy(order, "PSC1", 4);
    write_ids(order + 4, &request->caller);
    write_u32(order + 28, request->caller.at_secure ? 1 : 0);
    write_u32(order + 32, request->options->machine_s);
}

int request_prepare(pam_handle_t *pamh, enum pam_function function, int pam_flags, const struct options *options,
                    struct request *request, struct outgoing *frame, uint8_t order[ORDER_LENGTH])
{
    uint8_t ids[24];
    *request = (struct request){.options = options, .function = function, .pam_flags = pam_flags};
    if (!caller_read(&request->caller) || getrandom(request->nonce, NONCE_LENGTH, 0) != NONCE_LENGTH) {
        pam_syslog(pamh, LOG_CRIT, "refused: the kernel gave no user ids or no random bytes: %m");
        return PAM_SYSTEM_ERR;
    }
    request->choice_list = choice_find_type(&request->caller);
    frame_begin(frame, FRAME_REQUEST);
    frame_put_u32(frame, PROTOCOL_VERSION);
    frame_put(frame, request->nonce, NONCE_LENGTH);
    frame_put_u8(frame, (uint8_t)function);
    frame_put_u32(frame, (uint32_t)pam_flags);
    const int refusal = put_items(pamh, request, frame);
    if (refusal != 0)
        return refusal;
    write_ids(ids, &request->caller);
    frame_put(frame, ids, sizeof ids);
    frame_put_u8(frame, request->caller.at_secure ? 1 : 0);
    frame_put_u32(frame, options->flags);
    frame_put(frame, options->config, strlen(options->config));
    frame_put_u32(frame, options->machine_s);
    frame_put(frame, options->relayed, strlen(options->relayed));
    put_surroundings(pamh, request, frame);
    write_order(request, order);
    if (!frame_end(frame) || !text_is_plain((struct span){(const uint8_t *)options->config, strlen(options->config)})) {
        pam_syslog(pamh, LOG_ERR, "refused: the argument config= is no plain text or too long; correct it");
        return PAM_SERVICE_ERR;
    }
    return 0;
}
