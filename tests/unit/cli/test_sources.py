# SPDX-License-Identifier: LGPL-2.1-or-later
"""How refresh and store write of one source: whole times for programs, short ones and the serial for people."""

from __future__ import annotations

import datetime

from pam_sc.cli.sources import report_values, row_of
from pam_sc.refresh.model import Kind, SourceReport, State

AT = datetime.datetime(2026, 11, 21, 13, 58, 12, tzinfo=datetime.UTC)
REPORT = SourceReport(source="http://crl.example.test/", kind=Kind.CRL, state=State.FRESH, this_update=AT,
                      next_update=AT + datetime.timedelta(days=1))


def test_programs_read_whole_times_and_people_short_ones() -> None:
    values = report_values(REPORT, AT)
    assert values["next_update"] == "2026-11-22T13:58:12+00:00"
    assert row_of(values).text == "http://crl.example.test/, 0 s old, next update 2026-11-22 13:58 UTC"


def test_an_answer_in_the_store_says_about_which_certificate_it_is() -> None:
    values = report_values(REPORT, AT) | {"issuer": "CN=CA", "says": "good", "serial": "1002"}
    assert row_of(values).text.startswith("http://crl.example.test/, CN=CA, good, about serial 1002, 0 s old")
