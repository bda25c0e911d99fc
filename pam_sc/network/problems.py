# SPDX-License-Identifier: LGPL-2.1-or-later
"""What people read when a transfer fails: one sentence for each kind of exception, and never a server's own words."""

from __future__ import annotations

import http.client
import ssl

from pam_sc.errors import TransferError
from pam_sc.network.job import TIME_OVER

_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, TIME_OVER),
    (ConnectionRefusedError, "its server refuses connections"),
    (http.client.IncompleteRead, "its server closed the connection early"),
    (ConnectionError, "its server closed the connection early"),  # RemoteDisconnected too
    (ssl.SSLEOFError, "its server closed the connection early"),
    (ssl.SSLZeroReturnError, "its server closed the connection early"),
    (http.client.HTTPException, "its server's answer is not HTTP"),
)


def sentence(error: Exception) -> str:
    """Return why a transfer failed."""
    if isinstance(error, TransferError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of its server is not accepted: {_reason(error.verify_message)}"
    for kind, text in _SENTENCES:
        if isinstance(error, kind):
            return text
    if isinstance(error, ssl.SSLError):
        if error.reason == "UNEXPECTED_EOF_WHILE_READING":
            return "its server closed the connection early"
        return f"TLS with its server failed: {_reason(error.reason)}"
    if isinstance(error, OSError):
        return f"its server cannot be reached: {error.strerror or type(error).__name__}"
    return f"its server's answer cannot be read: {type(error).__name__}"


def _reason(text: str | None) -> str:
    """The words of OpenSSL, which names its constants and the host that we asked for."""
    return (text or "no reason is given").rstrip(".")
