# SPDX-License-Identifier: LGPL-2.1-or-later
"""Takes what came from a server for a CRL, finds its signer and puts it into the store, or says why not.

Nothing from a server is believed: a CRL counts only with a signer that has a valid path under the anchors of today. What
does not count changes nothing, and what was at hand stays. Nothing is fetched here.
"""

from __future__ import annotations

import datetime
import hashlib

from cryptography import x509

from pam_sc.decision.certificate import time_text
from pam_sc.decision.evidence import Unparsable
from pam_sc.decision.parsing import read_strictly
from pam_sc.errors import StoreError
from pam_sc.record import replace
from pam_sc.refresh.model import Kind, Scene, SourceReport, State, WantedCrl, report_of_index
from pam_sc.transfer import Outcome, TransferFailed, Transferred
from pam_sc.trust.anchors import PathCertificate
from pam_sc.trust.crl import find_crl_signer
from pam_sc.trust.crl_file import read_crl
from pam_sc.trust.index import Provenance, RolledBack, index_at_hand, index_crl, touch_index
from pam_sc.trust.index_format import IndexHeader, Origin
from pam_sc.trust.path import find_issuer_paths


def take_crl(wanted: WantedCrl, outcome: Outcome, at_hand: IndexHeader | None, scene: Scene) -> SourceReport:
    """Put a CRL that was fetched into the store; `at_hand` is what came from this URL before."""
    skew = datetime.timedelta(seconds=wanted.lookup.clock_skew_s)
    try:
        state, header = _take(wanted, outcome, at_hand, scene, skew)
    except _Refused as refusal:
        return _failed(wanted, str(refusal), at_hand, scene)
    except RolledBack as error:
        return _failed(wanted, str(error), at_hand, scene)
    except StoreError as error:
        return replace(_failed(wanted, str(error), at_hand, scene), broken=True)
    return report_of_index(Kind.CRL, wanted.url, header, state, scene, skew)


class _Refused(Exception):
    """What came cannot be used."""


def _take(
    wanted: WantedCrl, outcome: Outcome, at_hand: IndexHeader | None, scene: Scene, skew: datetime.timedelta
) -> tuple[State, IndexHeader]:
    match outcome:
        case TransferFailed(why):
            raise _Refused(why)
        case Transferred(not_modified=True):
            if at_hand is None:
                raise _Refused("the server says that nothing changed, but nothing is at hand")
            known = at_hand.origin(wanted.url) or Origin(url=wanted.url)
            return State.UNCHANGED, touch_index(scene.folder, at_hand, known, scene.at)
        case _:
            return _index(wanted, outcome, at_hand, scene, skew)


def _index(
    wanted: WantedCrl, fetched: Transferred, at_hand: IndexHeader | None, scene: Scene, skew: datetime.timedelta
) -> tuple[State, IndexHeader]:
    der = _der(fetched.body)
    origin = Origin(url=wanted.url, etag=fetched.etag, last_modified=fetched.last_modified)
    digest = hashlib.sha256(der).hexdigest()
    if at_hand is not None and digest == at_hand.digest:
        return State.UNCHANGED, touch_index(scene.folder, at_hand, origin, scene.at)
    crl = read_crl(der, wanted.url)
    if isinstance(crl, Unparsable):
        raise _Refused(f"what came is not a CRL: {crl.why}")
    signer = find_crl_signer(crl, scene.trust, scene.policy, scene.at, scene.others)
    if isinstance(signer, str):
        raise _Refused(f"the CRL does not count: {signer}")
    if crl.header.this_update > scene.at + skew:
        raise _Refused(f"the CRL is from the future: found thisUpdate {time_text(crl.header.this_update)}")
    other = index_at_hand(scene.folder, crl.header, signer)
    if other is not None and other.digest == digest:  # another URL has the same
        return State.UNCHANGED, touch_index(scene.folder, other, origin, scene.at)
    provenance = Provenance(origin=origin, path=_path_of(signer, scene))
    return State.FRESH, index_crl(der, crl, signer, scene.folder, provenance, scene.at)


def _path_of(signer: PathCertificate, scene: Scene) -> tuple[str, ...]:
    paths = find_issuer_paths(signer, scene.trust, scene.policy, scene.at, scene.others)
    return tuple(each.der.hex() for each in next(iter(paths), (signer,))[:-1])


def _der(body: bytes) -> bytes:
    """Return the CRL as DER; some servers send PEM."""
    if not body.lstrip().startswith(b"-----BEGIN "):
        return body
    from cryptography.hazmat.primitives.serialization import Encoding

    found = read_strictly(lambda: x509.load_pem_x509_crl(body).public_bytes(Encoding.DER))
    if isinstance(found, Unparsable):
        raise _Refused(f"what came is not a CRL: {found.why}")
    return found


def _failed(wanted: WantedCrl, why: str, at_hand: IndexHeader | None, scene: Scene) -> SourceReport:
    if at_hand is None:
        return SourceReport(kind=Kind.CRL, source=wanted.url, state=State.FAILED, why=why)
    known = report_of_index(Kind.CRL, wanted.url, at_hand, State.FAILED, scene, datetime.timedelta(0))
    return replace(known, why=why)
