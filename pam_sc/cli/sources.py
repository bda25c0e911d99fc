# SPDX-License-Identifier: LGPL-2.1-or-later
"""How `pam-sc refresh` and `pam-sc store` write about sources, for people and as JSON. Pure."""

from __future__ import annotations

import datetime
from typing import Any

from pam_sc.cli.output import Row
from pam_sc.decision.certificate import time_text
from pam_sc.refresh.listing import Listing
from pam_sc.refresh.model import SourceReport
from pam_sc.trust.index_format import IndexHeader
from pam_sc.trust.store import StoredAnswer

WIDTHS = (10, 6)
Values = dict[str, Any]


def report_values(report: SourceReport, at: datetime.datetime) -> Values:
    """One source of a refresh."""
    return {
        "source": report.source,
        "kind": report.kind.value,
        "state": report.state.value,
        "why": report.why or None,
        **_times(report.this_update, report.next_update, at),
        "size": report.size,
        "entries": report.entries,
    }


def index_values(header: IndexHeader, at: datetime.datetime) -> Values:
    """One CRL in the store."""
    crl = header.crl
    return {
        "source": header.file.path if header.file else header.url,
        "kind": "file" if header.file else "crl",
        "state": _state(crl.next_update, at),
        "issuer": crl.issuer_text,
        "number": crl.number,
        "delta_of": crl.base_number,
        "signer_sha256": header.signer,
        **_times(crl.this_update, crl.next_update, at),
        "size": header.size,
        "entries": header.entries,
        "checked_at": _text(header.checked_at or header.indexed_at),
    }


def answer_values(answer: StoredAnswer, at: datetime.datetime) -> Values:
    """One OCSP answer in the store."""
    this_update, next_update = answer.times
    about = answer.about
    return {
        "source": answer.message.source,
        "kind": "ocsp",
        "state": _state(next_update, at),
        "issuer": about.get("issuer"),
        "serial": about.get("serial"),
        "says": about.get("says"),
        **_times(this_update, next_update, at),
        "size": len(answer.message.der),
    }


def listing_values(listing: Listing, at: datetime.datetime) -> Values:
    """The whole store."""
    return {
        "folder": listing.folder,
        "sources": [
            *(index_values(header, at) for header in listing.crls),
            *(answer_values(answer, at) for answer in listing.answers),
        ],
        "requests": listing.requests,
        "problems": list(listing.problems),
    }


def row_of(values: Values) -> Row:
    """One source in a line."""
    parts = [values["source"] or "?"]
    if values["this_update"] is not None:
        parts.append(f"{age_text(values['age_s'])} old")
    if values["size"] is not None:
        parts.append(size_text(values["size"]))
    if values.get("entries") is not None:
        parts.append(f"{values['entries']:,} entries".replace("1 entries", "1 entry") if values["entries"] == 1
                     else f"{values['entries']:,} entries")
    if values["next_update"] is not None:
        parts.append(f"next update {time_text(datetime.datetime.fromisoformat(values['next_update']))}")
    about = [values[name] for name in ("issuer", "says") if values.get(name)]
    about += [f"about serial {values['serial']}"] if values.get("serial") else []
    why = values.get("why")
    text = ", ".join([parts[0], *about, *parts[1:]])
    return Row((values["state"], values["kind"]), f"{text}: {why}" if why else text)


def age_text(seconds: float) -> str:
    """An age in the greatest unit that fits."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size_text(size: int) -> str:
    """A number of bytes in the greatest unit that fits."""
    for unit, bytes_of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= bytes_of:
            return f"{size / bytes_of:.1f} {unit}"
    return f"{size} B"


def _state(next_update: datetime.datetime | None, at: datetime.datetime) -> str:
    return "stale" if next_update is None or next_update < at else "fresh"


def _times(
    this_update: datetime.datetime | None, next_update: datetime.datetime | None, at: datetime.datetime
) -> Values:
    return {
        "this_update": _text(this_update),
        "next_update": _text(next_update),
        "age_s": None if this_update is None else round((at - this_update).total_seconds()),
    }


def _text(at: datetime.datetime | None) -> str | None:
    return None if at is None else at.isoformat()
