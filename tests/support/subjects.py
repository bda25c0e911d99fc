# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subjects for mappers, without a certificate around them."""

from __future__ import annotations

from collections.abc import Sequence

from pam_sc.decision.alternative_names import AlternativeName, NameKind
from pam_sc.decision.distinguished_name import Attribute, DistinguishedName
from pam_sc.decision.identity import COMMON_NAME, Subject


def subject_of(
    *common_names: str,
    attributes: Sequence[tuple[str, str]] = (),
    names: Sequence[tuple[NameKind, str]] = (),
) -> Subject:
    """A subject with these common names, then these attributes (object identifier, value), and these subjectAltNames."""
    given = [(COMMON_NAME, each) for each in common_names] + list(attributes)
    relative_names = tuple((Attribute(oid, value),) for oid, value in given)
    return Subject(
        subject=DistinguishedName(relative_names=relative_names),
        alternative_names=tuple(AlternativeName(kind=kind, value=value) for kind, value in names),
    )
