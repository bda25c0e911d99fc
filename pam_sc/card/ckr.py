# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one table of PKCS#11 return values: number, name, and what it means in a sentence for people.

A test holds it against PyKCS11's list. A number that is not in it is shown as what it is; it never becomes "no error".
"""

from __future__ import annotations

from typing import Final

from pam_sc.errors import PamScError

CKR_OK: Final = 0x0
CKR_CANCEL: Final = 0x1
CKR_SLOT_ID_INVALID: Final = 0x3
CKR_DEVICE_REMOVED: Final = 0x32
CKR_FUNCTION_CANCELED: Final = 0x50
CKR_FUNCTION_NOT_SUPPORTED: Final = 0x54
CKR_KEY_SIZE_RANGE: Final = 0x62
CKR_KEY_TYPE_INCONSISTENT: Final = 0x63
CKR_KEY_FUNCTION_NOT_PERMITTED: Final = 0x68
CKR_MECHANISM_INVALID: Final = 0x70
CKR_MECHANISM_PARAM_INVALID: Final = 0x71
CKR_PIN_INCORRECT: Final = 0xA0
CKR_PIN_INVALID: Final = 0xA1
CKR_PIN_LEN_RANGE: Final = 0xA2
CKR_PIN_EXPIRED: Final = 0xA3
CKR_PIN_LOCKED: Final = 0xA4
CKR_TOKEN_NOT_PRESENT: Final = 0xE0
CKR_TOKEN_WRITE_PROTECTED: Final = 0xE2
CKR_USER_ALREADY_LOGGED_IN: Final = 0x100
CKR_USER_TYPE_INVALID: Final = 0x103
CKR_USER_ANOTHER_ALREADY_LOGGED_IN: Final = 0x104
CKR_BUFFER_TOO_SMALL: Final = 0x150
CKR_CRYPTOKI_ALREADY_INITIALIZED: Final = 0x191
CKR_PIN_TOO_WEAK: Final = 0x1B8
_VENDOR_DEFINED: Final = 0x80000000

MECHANISM_REFUSALS: Final = frozenset({
    CKR_FUNCTION_NOT_SUPPORTED, CKR_KEY_SIZE_RANGE, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID,
})
"""What C_SignInit says where another mechanism may still do. Anything else ends the attempt."""

ALREADY_LOGGED_IN: Final = frozenset({CKR_USER_ALREADY_LOGGED_IN, CKR_USER_ANOTHER_ALREADY_LOGGED_IN})

CKR: Final[dict[int, tuple[str, str]]] = {
    0x000: ("CKR_OK", "no error"),
    0x001: ("CKR_CANCEL", "cancelled"),
    0x002: ("CKR_HOST_MEMORY", "the machine has not enough memory"),
    0x003: ("CKR_SLOT_ID_INVALID", "there is no such slot"),
    0x005: ("CKR_GENERAL_ERROR", "the module gives no cause"),
    0x006: ("CKR_FUNCTION_FAILED", "the module gives no cause"),
    0x007: ("CKR_ARGUMENTS_BAD", "the module does not accept the arguments"),
    0x008: ("CKR_NO_EVENT", "nothing happened"),
    0x009: ("CKR_NEED_TO_CREATE_THREADS", "the module needs threads"),
    0x00a: ("CKR_CANT_LOCK", "the module cannot lock"),
    0x010: ("CKR_ATTRIBUTE_READ_ONLY", "the attribute cannot be changed"),
    0x011: ("CKR_ATTRIBUTE_SENSITIVE", "the attribute is secret"),
    0x012: ("CKR_ATTRIBUTE_TYPE_INVALID", "the object has no such attribute"),
    0x013: ("CKR_ATTRIBUTE_VALUE_INVALID", "the attribute cannot have this value"),
    0x01b: ("CKR_ACTION_PROHIBITED", "the token's policy forbids it"),
    0x020: ("CKR_DATA_INVALID", "the data cannot be used"),
    0x021: ("CKR_DATA_LEN_RANGE", "the data has the wrong length"),
    0x030: ("CKR_DEVICE_ERROR", "the token or the reader failed"),
    0x031: ("CKR_DEVICE_MEMORY", "the token has not enough memory"),
    0x032: ("CKR_DEVICE_REMOVED", "the token was removed"),
    0x040: ("CKR_ENCRYPTED_DATA_INVALID", "the ciphertext cannot be used"),
    0x041: ("CKR_ENCRYPTED_DATA_LEN_RANGE", "the ciphertext has the wrong length"),
    0x042: ("CKR_AEAD_DECRYPT_FAILED", "the ciphertext is not authentic"),
    0x050: ("CKR_FUNCTION_CANCELED", "the function was cancelled"),
    0x051: ("CKR_FUNCTION_NOT_PARALLEL", "nothing runs in parallel"),
    0x054: ("CKR_FUNCTION_NOT_SUPPORTED", "the module does not have this function"),
    0x060: ("CKR_KEY_HANDLE_INVALID", "there is no such key"),
    0x062: ("CKR_KEY_SIZE_RANGE", "the key's size is not supported"),
    0x063: ("CKR_KEY_TYPE_INCONSISTENT", "the mechanism is not for this kind of key"),
    0x064: ("CKR_KEY_NOT_NEEDED", "no key is needed"),
    0x065: ("CKR_KEY_CHANGED", "the key has changed"),
    0x066: ("CKR_KEY_NEEDED", "a key is needed"),
    0x067: ("CKR_KEY_INDIGESTIBLE", "the key cannot be hashed"),
    0x068: ("CKR_KEY_FUNCTION_NOT_PERMITTED", "the key may not be used for this"),
    0x069: ("CKR_KEY_NOT_WRAPPABLE", "the key cannot be wrapped"),
    0x06a: ("CKR_KEY_UNEXTRACTABLE", "the key cannot be extracted"),
    0x070: ("CKR_MECHANISM_INVALID", "the token does not have this mechanism"),
    0x071: ("CKR_MECHANISM_PARAM_INVALID", "the token does not accept the mechanism's parameter"),
    0x082: ("CKR_OBJECT_HANDLE_INVALID", "there is no such object"),
    0x090: ("CKR_OPERATION_ACTIVE", "another operation is under way"),
    0x091: ("CKR_OPERATION_NOT_INITIALIZED", "no operation is under way"),
    0x0a0: ("CKR_PIN_INCORRECT", "the PIN is wrong"),
    0x0a1: ("CKR_PIN_INVALID", "the PIN holds characters the token does not accept"),
    0x0a2: ("CKR_PIN_LEN_RANGE", "the PIN has a length the token does not accept"),
    0x0a3: ("CKR_PIN_EXPIRED", "the PIN has expired"),
    0x0a4: ("CKR_PIN_LOCKED", "the PIN is locked"),
    0x0b0: ("CKR_SESSION_CLOSED", "the session was closed"),
    0x0b1: ("CKR_SESSION_COUNT", "the token has no session left"),
    0x0b3: ("CKR_SESSION_HANDLE_INVALID", "there is no such session"),
    0x0b4: ("CKR_SESSION_PARALLEL_NOT_SUPPORTED", "sessions must be serial"),
    0x0b5: ("CKR_SESSION_READ_ONLY", "the session is read-only"),
    0x0b6: ("CKR_SESSION_EXISTS", "a session is open"),
    0x0b7: ("CKR_SESSION_READ_ONLY_EXISTS", "a read-only session is open"),
    0x0b8: ("CKR_SESSION_READ_WRITE_SO_EXISTS", "the security officer has a session open"),
    0x0c0: ("CKR_SIGNATURE_INVALID", "the signature is wrong"),
    0x0c1: ("CKR_SIGNATURE_LEN_RANGE", "the signature has the wrong length"),
    0x0d0: ("CKR_TEMPLATE_INCOMPLETE", "an attribute is missing"),
    0x0d1: ("CKR_TEMPLATE_INCONSISTENT", "the attributes contradict each other"),
    0x0e0: ("CKR_TOKEN_NOT_PRESENT", "there is no token in the slot"),
    0x0e1: ("CKR_TOKEN_NOT_RECOGNIZED", "the module does not know this kind of token"),
    0x0e2: ("CKR_TOKEN_WRITE_PROTECTED", "the token is write-protected"),
    0x0f0: ("CKR_UNWRAPPING_KEY_HANDLE_INVALID", "there is no such unwrapping key"),
    0x0f1: ("CKR_UNWRAPPING_KEY_SIZE_RANGE", "the unwrapping key's size is not supported"),
    0x0f2: ("CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT", "the mechanism is not for this kind of unwrapping key"),
    0x100: ("CKR_USER_ALREADY_LOGGED_IN", "somebody is logged in already"),
    0x101: ("CKR_USER_NOT_LOGGED_IN", "nobody is logged in"),
    0x102: ("CKR_USER_PIN_NOT_INITIALIZED", "the PIN was never set"),
    0x103: ("CKR_USER_TYPE_INVALID", "there is no such kind of login"),
    0x104: ("CKR_USER_ANOTHER_ALREADY_LOGGED_IN", "somebody else is logged in already"),
    0x105: ("CKR_USER_TOO_MANY_TYPES", "too many kinds of login at once"),
    0x110: ("CKR_WRAPPED_KEY_INVALID", "the wrapped key cannot be used"),
    0x112: ("CKR_WRAPPED_KEY_LEN_RANGE", "the wrapped key has the wrong length"),
    0x113: ("CKR_WRAPPING_KEY_HANDLE_INVALID", "there is no such wrapping key"),
    0x114: ("CKR_WRAPPING_KEY_SIZE_RANGE", "the wrapping key's size is not supported"),
    0x115: ("CKR_WRAPPING_KEY_TYPE_INCONSISTENT", "the mechanism is not for this kind of wrapping key"),
    0x120: ("CKR_RANDOM_SEED_NOT_SUPPORTED", "the generator takes no seed"),
    0x121: ("CKR_RANDOM_NO_RNG", "the token has no generator"),
    0x130: ("CKR_DOMAIN_PARAMS_INVALID", "the curve or domain cannot be used"),
    0x140: ("CKR_CURVE_NOT_SUPPORTED", "the token does not have this curve"),
    0x150: ("CKR_BUFFER_TOO_SMALL", "the answer is longer than allowed"),
    0x160: ("CKR_SAVED_STATE_INVALID", "the saved state cannot be used"),
    0x170: ("CKR_INFORMATION_SENSITIVE", "the information is secret"),
    0x180: ("CKR_STATE_UNSAVEABLE", "the state cannot be saved"),
    0x190: ("CKR_CRYPTOKI_NOT_INITIALIZED", "the module is not initialized"),
    0x191: ("CKR_CRYPTOKI_ALREADY_INITIALIZED", "the module is initialized already"),
    0x1a0: ("CKR_MUTEX_BAD", "a lock is broken"),
    0x1a1: ("CKR_MUTEX_NOT_LOCKED", "a lock is not held"),
    0x1b0: ("CKR_NEW_PIN_MODE", "the token wants a new PIN"),
    0x1b1: ("CKR_NEXT_OTP", "the token wants the next one-time password"),
    0x1b5: ("CKR_EXCEEDED_MAX_ITERATIONS", "the search for parameters was given up"),
    0x1b6: ("CKR_FIPS_SELF_TEST_FAILED", "the self-test failed"),
    0x1b7: ("CKR_LIBRARY_LOAD_FAILED", "a library could not be loaded"),
    0x1b8: ("CKR_PIN_TOO_WEAK", "the new PIN is too weak"),
    0x1b9: ("CKR_PUBLIC_KEY_INVALID", "the public key cannot be used"),
    0x200: ("CKR_FUNCTION_REJECTED", "the token's owner refused"),
    0x201: ("CKR_TOKEN_RESOURCE_EXCEEDED", "the token has no resource left"),
    0x202: ("CKR_OPERATION_CANCEL_FAILED", "the operation could not be cancelled"),
    0x203: ("CKR_KEY_EXHAUSTED", "the key has made all its signatures"),
    0x204: ("CKR_PENDING", "the answer is not ready"),
    0x205: ("CKR_SESSION_ASYNC_NOT_SUPPORTED", "sessions must be synchronous"),
    0x206: ("CKR_SEED_RANDOM_REQUIRED", "the generator needs a seed"),
    0x207: ("CKR_OPERATION_NOT_VALIDATED", "the operation was not validated"),
    0x208: ("CKR_TOKEN_NOT_INITIALIZED", "the token is empty"),
    0x209: ("CKR_PARAMETER_SET_NOT_SUPPORTED", "the token does not have this parameter set"),
}

# What CPKCS11Lib.Load answers besides return values of the module.
_LOADER: Final[dict[int, str]] = {
    -1 & 0xFFFFFFFFFFFFFFFF: "the file cannot be loaded",
    -4 & 0xFFFFFFFFFFFFFFFF: "the file is no PKCS#11 module: it has no C_GetFunctionList",
}


class TokenError(PamScError):
    """A PKCS#11 function failed. `ckr` is its return value; the message names function, value and meaning."""

    def __init__(self, function: str, ckr: int) -> None:
        super().__init__(f"{function}: {describe(ckr)}")
        self.ckr = normal(ckr)


def normal(value: int) -> int:
    """The return value as the unsigned long that it is; PyKCS11 hands it out signed."""
    return value & 0xFFFFFFFFFFFFFFFF


def describe(value: int) -> str:
    """Name and meaning of a return value, for logs and `pam-sc explain`."""
    value = normal(value)
    if value in CKR:
        name, meaning = CKR[value]
        return f"{name} ({meaning})"
    if value in _LOADER:
        return _LOADER[value]
    kind = "vendor-defined" if value & _VENDOR_DEFINED else "undefined"
    return f"{value:#x} ({kind} return value)"


def require_ok(function: str, value: int) -> None:
    """Raise TokenError unless the function said CKR_OK."""
    if value != CKR_OK:
        raise TokenError(function, value)
