# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `uid`: every userId and every x500UniqueIdentifier of the subject names an account, or a mapfile's line."""

from __future__ import annotations

from pam_sc.decision.identity import Subject
from pam_sc.value_mapper import ValueMapper


class UidMapper(ValueMapper):
    """Maps every userId (0.9.2342.19200300.100.1.1, RFC 4519), then every x500UniqueIdentifier (2.5.4.45, X.520)."""

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The userIds and x500UniqueIdentifiers."""
        return tuple(dict.fromkeys(subject.user_ids + subject.unique_identifiers))
