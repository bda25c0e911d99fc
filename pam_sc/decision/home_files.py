# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether a file in a home counts for a request. Whoever may write it could otherwise make themselves more than they are.

A file such as ~/.ssh/authorized_keys says whose key opens the account, and anybody who runs a program as that account
can change it. For a login that begins with nothing that is the account's own business. For a person who is logged in
already and asks for more (sudo asks for their own card) it would turn every program they run into root.
"""

from __future__ import annotations

from pam_sc.decision.request import Request


def why_not_believed(
    request: Request, privileged_services: frozenset[str], believed_for: frozenset[str]
) -> str | None:
    """Return why a file in a home does not count for this request; None if it does.

    `believed_for`: the services for which the configuration believes this file by name. Refused are the
    `privileged_services`, and every host that has more privilege than who started it: a real uid other than 0 beside
    an effective or saved one that is 0, or AT_SECURE. A caller without any privilege gains nothing from its own file.
    """
    service = request.service
    if service in believed_for:
        return None
    if service in privileged_services:
        return f"service {service!r} is in [account] privileged_services, and the mapper's believed_for does not name it"
    if request.real_uid != 0 and request.privileged:
        return f"the program has more privilege than who started it, and the mapper's believed_for does not name {service!r}"
    return None
