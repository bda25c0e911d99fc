/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_HOME_READER_H
#define PAM_SC_HOME_READER_H

/* Serve on descriptor 3 until the verifier closes the channel; the exit status. */
int run_home_reader(void);

#endif
