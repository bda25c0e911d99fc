# SPDX-License-Identifier: LGPL-2.1-or-later
"""The numbers of PKCS#11 v2.40 that the card process uses, and the bounds it keeps. Nothing here talks to a module.

They stand here and not in PyKCS11's namespace so that they are typed, and so that the client, which
must not import PyKCS11, can share the bounds.
"""

from __future__ import annotations

from typing import Final

MAX_MODULES: Final = 16
MAX_SLOTS: Final = 64
MAX_OBJECTS: Final = 256
MAX_ATTRIBUTE: Final = 64 * 1024
MAX_SIGNATURE: Final = 1024
MAX_TEXT: Final = 256
MAX_DETAIL: Final = 1024
MAX_OBJECT_ID: Final = 1024
MAX_SECRET: Final = 512

CKF_TOKEN_PRESENT: Final = 0x1
CKF_REMOVABLE_DEVICE: Final = 0x2
CKF_HW_SLOT: Final = 0x4

CKF_LOGIN_REQUIRED: Final = 0x4
CKF_USER_PIN_INITIALIZED: Final = 0x8
CKF_PROTECTED_AUTHENTICATION_PATH: Final = 0x100
CKF_TOKEN_INITIALIZED: Final = 0x400
CKF_USER_PIN_COUNT_LOW: Final = 0x10000
CKF_USER_PIN_FINAL_TRY: Final = 0x20000
CKF_USER_PIN_LOCKED: Final = 0x40000
CKF_USER_PIN_TO_BE_CHANGED: Final = 0x80000

CKF_SIGN: Final = 0x800
CKF_SERIAL_SESSION: Final = 0x4
CKF_RW_SESSION: Final = 0x2
CKF_DONT_BLOCK: Final = 0x1

CKO_CERTIFICATE: Final = 1
CKO_PUBLIC_KEY: Final = 2
CKO_PRIVATE_KEY: Final = 3
CKC_X_509: Final = 0

CKA_CLASS: Final = 0x0
CKA_LABEL: Final = 0x3
CKA_VALUE: Final = 0x11
CKA_CERTIFICATE_TYPE: Final = 0x80
CKA_ID: Final = 0x102
CKA_SIGN: Final = 0x108
CKA_MODULUS: Final = 0x120
CKA_EC_POINT: Final = 0x181
CKA_ALWAYS_AUTHENTICATE: Final = 0x202

CKU_SO: Final = 0
CKU_USER: Final = 1
CKU_CONTEXT_SPECIFIC: Final = 2

CKG_MGF1_SHA256: Final = 2
