/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A PAM host as polkit's agent helper is one: standard input and output are a protocol with somebody else's program, one
 * line a message. Whatever a module wrote there would be read as an answer of the helper's. */

#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int answer(struct pam_response *response)
{
    char line[600];
    if (fgets(line, sizeof line, stdin) == NULL)
        return PAM_CONV_ERR;
    line[strcspn(line, "\n")] = '\0';
    response->resp = strdup(line);
    return response->resp != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
    static const char *const words[] = {"", "PAM_PROMPT_ECHO_OFF", "PAM_PROMPT_ECHO_ON", "PAM_ERROR_MSG", "PAM_TEXT_INFO"};
    (void)data;
    *responses = calloc((size_t)count, sizeof **responses);
    if (*responses == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        const int style = messages[i]->msg_style;
        printf("%s %s\n", words[style], messages[i]->msg);
        fflush(stdout);
        const int code = style <= PAM_PROMPT_ECHO_ON ? answer(&(*responses)[i]) : PAM_SUCCESS;
        if (code != PAM_SUCCESS)
            return code;
    }
    return PAM_SUCCESS;
}

int main(int argc, char **argv)
{
    const struct pam_conv conversation = {converse, NULL};
    pam_handle_t *pamh = NULL;
    if (argc != 2 || pam_start("polkit-1", argv[1], &conversation, &pamh) != PAM_SUCCESS)
        return 2;
    int code = pam_authenticate(pamh, 0);
    if (code == PAM_SUCCESS)
        code = pam_acct_mgmt(pamh, 0);
    printf("%s\n", code == PAM_SUCCESS ? "SUCCESS" : "FAILURE");
    fflush(stdout);
    (void)pam_end(pamh, code);
    return code == PAM_SUCCESS ? 0 : 1;
}
