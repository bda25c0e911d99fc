# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `cn`: every commonName of the subject names an account, directly or through a mapfile."""

from __future__ import annotations

from pam_sc.decision.identity import Subject
from pam_sc.value_mapper import ValueMapper


class CnMapper(ValueMapper):
    """Maps every commonName (2.5.4.3), in the order of the certificate."""

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The commonNames."""
        return subject.common_names
