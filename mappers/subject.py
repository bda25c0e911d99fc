# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mapper `subject`: a mapfile lists the whole name of the subject, as RFC 4514 or as OpenSSL's oneline form.

The forms share no text: that of RFC 4514 begins with an attribute's type, the other with a slash. Neither says the same
of two names that differ (pam_sc/decision/distinguished_name.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pam_sc.decision.identity import Subject
from pam_sc.value_mapper import ValueMapper


class SubjectMapper(ValueMapper):
    """Maps the subject's name, in either form. A name is no account: a mapfile is required."""

    SHARED: ClassVar[Mapping[str, type]] = {"mapfile": str, "ignore_case": bool}

    def sees(self, subject: Subject) -> tuple[str, ...]:
        """The name as RFC 4514 writes it, and as X509_NAME_oneline does where that is not ambiguous."""
        return tuple(form for form in (subject.subject.rfc4514, subject.subject.oneline) if form is not None)
