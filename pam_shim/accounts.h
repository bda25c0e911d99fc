/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_ACCOUNTS_H
#define PAM_SC_ACCOUNTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* look_up_name(name: str), look_up_uid(uid: int), look_up_group(name: str) and list_accounts(most: int) of _pam_sc. */
PyObject *pam_sc_look_up_name(PyObject *self, PyObject *name);
PyObject *pam_sc_look_up_uid(PyObject *self, PyObject *uid);
PyObject *pam_sc_look_up_group(PyObject *self, PyObject *name);
PyObject *pam_sc_list_accounts(PyObject *self, PyObject *most);

#endif
