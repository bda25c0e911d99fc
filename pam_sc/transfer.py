# SPDX-License-Identifier: LGPL-2.1-or-later
"""What may be fetched over a network and what came of it: plain values, for who wants something and who gets it.

Nothing here opens a connection; pam_sc/network does, in a process of its own.
"""

from __future__ import annotations

from pam_sc.record import field, record

REQUESTS_FOLDER = "requests"
"""In the store, and the verifier's own: where logins leave word of what should be fetched for their certificates."""


@record(kw_only=True)
class Transfer:
    """One thing to fetch: a GET of a URL, or a POST where there is a body. http, https, ldap and ldaps only."""

    url: str
    body: bytes | None = field(default_factory=lambda: None, repr=False)
    content_type: str = ""
    """Of the body."""
    etag: str | None = None
    last_modified: str | None = None
    """Of the copy at hand: where nothing changed, the answer is `not_modified`."""
    max_bytes: int
    configured: bool = False
    """The administrator wrote this URL; one from a certificate must not lead to loopback or link-local addresses."""


@record(kw_only=True)
class Transferred:
    """It was fetched."""

    body: bytes = field(repr=False)
    not_modified: bool = False
    etag: str | None = None
    last_modified: str | None = None


@record
class TransferFailed:
    """It was not fetched. `why` is a sentence for people that never quotes what a server sent."""

    why: str


Outcome = Transferred | TransferFailed
