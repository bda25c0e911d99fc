/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_SANDBOX_MODULE_H
#define PAM_SC_SANDBOX_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyMODINIT_FUNC PyInit__pam_sc(void);

#endif
