# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc verify`: verdicts, exit codes, what it says, and entries of a batch that cannot be judged."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import pytest

from pam_sc.cli.main import run
from tests.support.pki import DAY, SERVER_AUTH, CertificateAuthority, Issued, now
from tests.unit.cli.cards import FakeMachine

Capture = pytest.CaptureFixture[str]
POLICY = "2.16.840.1.101.3.2.1.48.1"


class Place:
    """A folder with a PKI on disk, and the command run over it."""

    def __init__(self, folder: Path, capsys: Capture) -> None:
        self.folder = folder
        self._capsys = capsys
        self.root = CertificateAuthority("Root")
        self.issuing = self.root.subordinate("Issuing")
        self.leaf = self.issuing.issue(key="p256")
        for name in ("anchors", "intermediates", "crls"):
            (folder / name).mkdir()
        self.put("anchors/root.pem", self.root.pem)
        self.put("intermediates/issuing.der", self.issuing.der)
        self.put("crls/both.pem", self.root.crl() + self.issuing.crl())
        self.put("alice.pem", self.leaf.pem)

    def put(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o666)
        return str(path)

    def said(self, *more: str, **given: str | None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr; keywords replace the usual places, None leaves one out."""
        usual = {name: str(self.folder / name) for name in ("anchors", "intermediates", "crls")}
        places = {**usual, "cert": str(self.folder / "alice.pem"), **given}
        named = [word for name, path in places.items() if path is not None for word in (f"--{name}", path)]
        return self.run(*named, *more)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        code = run(("verify", *arguments), FakeMachine())
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def about(self, leaf: Issued, *more: str) -> tuple[int, str, str]:
        return self.said(*more, cert=self.put("other.pem", leaf.pem))


@pytest.fixture
def place(tmp_path: Path, capsys: Capture) -> Place:
    """A root, an issuing authority, alice's certificate, and current CRLs; files that everybody can write."""
    return Place(tmp_path, capsys)


# ---------------------------------------------------------------- trusted and refused


def test_trusted_certificate_is_exit_code_0_and_its_path(place: Place) -> None:
    assert place.said() == (0, "trusted: CN=alice,O=Example <- CN=Issuing,O=Example <- CN=Root,O=Example\n", "")


def test_der_and_single_files_do_as_well_as_pem_and_folders(place: Place) -> None:
    code, _out, err = place.said(
        cert=place.put("alice.der", place.leaf.der),
        anchors=place.put("root.der", place.root.der),
        intermediates=place.put("issuing.pem", place.issuing.pem),
        crls=str(place.folder / "crls" / "both.pem"),
    )
    assert (code, err) == (0, "")


def test_revoked_certificate_is_exit_code_1_and_one_reason_on_one_line(place: Place) -> None:
    place.put("crls/both.pem", place.root.crl() + place.issuing.crl([place.leaf]))
    code, out, err = place.said()
    assert (code, err) == (1, "")
    assert out.startswith("refused: certificate-revoked: 'CN=alice,O=Example': CRL 'both.pem' of ")
    assert out.count("\n") == 1


def test_revoked_intermediate_is_refused(place: Place) -> None:
    place.put("crls/both.pem", place.root.crl([place.issuing.certificate.serial_number]) + place.issuing.crl())
    code, out, _err = place.said()
    assert (code, out.split(":")[1]) == (1, " issuer-revoked")


def test_no_crls_do_not_mean_that_revocation_is_not_looked_at(place: Place) -> None:
    (place.folder / "crls" / "both.pem").unlink()
    for crls in (str(place.folder / "crls"), None):
        code, out, _err = place.said(crls=crls)
        assert (code, out.split(":")[1]) == (1, " revocation-unknown")
        assert place.said("--no-revocation", crls=crls)[0] == 0
        assert place.said("--mode", "prefer", crls=crls)[0] == 0


def test_purposes_are_those_of_a_login_unless_others_are_given(place: Place) -> None:
    web = place.issuing.issue(key="p256", extended_key_usage=[SERVER_AUTH])
    code, out, _err = place.about(web)
    assert (code, out.split(":")[1]) == (1, " extended-key-usage-unsuitable")
    assert place.about(web, "--eku", SERVER_AUTH)[0] == 0
    assert place.said("--eku", SERVER_AUTH)[0] == 1


def test_time_without_a_zone_is_utc(place: Place) -> None:
    end = now() + DAY
    leaf = place.issuing.issue(key="p256", not_after=end)
    naive = end.replace(tzinfo=None)
    assert place.about(leaf, "--at-time", naive.isoformat())[0] == 0
    assert place.about(leaf, "--at-time", (naive + datetime.timedelta(seconds=1)).isoformat())[0] == 1
    elsewhere = (end - datetime.timedelta(hours=1)).replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))
    assert place.about(leaf, "--at-time", elsewhere.isoformat())[0] == 0
    later = elsewhere + datetime.timedelta(seconds=1)
    assert place.about(leaf, "--at-time", later.isoformat())[1].startswith("refused: certificate-expired")


def test_policy_that_is_demanded_must_be_valid(place: Place) -> None:
    code, out, _err = place.said("--policy", POLICY, "--explicit-policy")
    assert (code, out.split(":")[1]) == (1, " path-invalid")
    assert "no certificate policy is valid" in out
    assert place.said("--policy", POLICY)[0] == 0


def test_algorithms_are_the_current_ones_unless_others_are_given(place: Place) -> None:
    root = CertificateAuthority("Old", "rsa2048")
    place.put("anchors/old.pem", root.pem)
    place.put("crls/old.pem", root.crl())
    leaf = root.issue(key="p256", signature_hash="sha1")
    code, out, _err = place.about(leaf)
    assert (code, out.split(":")[1]) == (1, " algorithm-too-weak")
    assert place.about(leaf, "--algorithms", "legacy")[0] == 0
    code, out, _err = place.about(root.issue(key="rsa1024", signature_hash="md5"), "--algorithms", "legacy")
    assert (code, out.split(":")[1]) == (1, " algorithm-too-weak")


def test_authority_s_own_certificate_is_refused_as_by_a_login(place: Place) -> None:
    issuing = Issued(place.issuing.private_key, place.issuing.der)
    code, out, _err = place.about(issuing)
    assert (code, out.split(":")[1]) == (1, " key-usage-unsuitable")
    assert place.about(issuing, "--algorithms", "any")[0] == 0


def test_anchor_below_another_authority_is_none_unless_that_is_asked_for(place: Place) -> None:
    anchor = place.put("issuing.pem", place.issuing.pem)
    code, _out, err = place.said(anchors=anchor)
    assert code == 2
    assert "found none that may end a path" in err
    assert place.said("--partial-paths", anchors=anchor)[0] == 0


def test_authority_without_identifiers_is_accepted_with_no_strict_alone(place: Place) -> None:
    issuing = place.root.subordinate("Loose", identifiers=False)
    place.put("intermediates/loose.der", issuing.der)
    place.put("crls/loose.pem", issuing.crl())
    leaf = issuing.issue(key="p256", identifiers=False)
    code, out, _err = place.about(leaf)
    assert (code, out.split(":")[1]) == (1, " path-invalid")
    assert place.about(leaf, "--no-strict")[0] == 0


def test_file_that_cannot_be_used_is_told_and_changes_no_verdict(place: Place) -> None:
    place.put("intermediates/junk", b"junk")
    code, out, err = place.said()
    assert (code, out.split(":")[0]) == (0, "trusted")
    junk = str(place.folder / "intermediates" / "junk")
    assert err == f"pam-sc: not used: {junk!r} holds no certificates: neither PEM nor DER\n"


def test_json_has_the_path_and_what_each_revocation_came_to(place: Place) -> None:
    code, out, err = place.said("--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["trusted"], found["reason"], found["detail"], found["problems"]) == (True, None, None, [])
    assert found["path"] == ["CN=alice,O=Example", "CN=Issuing,O=Example", "CN=Root,O=Example"]
    assert [each["situation"] for each in found["revocation"]] == ["good", "good"]
    place.put("crls/both.pem", place.root.crl() + place.issuing.crl([place.leaf]))
    code, out, _err = place.said("--json")
    found = json.loads(out)
    assert (code, found["trusted"], found["reason"]) == (1, False, "certificate-revoked")
    assert [each["situation"] for each in found["revocation"]] == ["revoked", "good"]


# ---------------------------------------------------------------- everything else


@pytest.mark.parametrize("name", ["anchors", "intermediates", "crls", "cert"])
def test_missing_place_is_exit_code_2(place: Place, name: str) -> None:
    code, out, err = place.said(**{name: str(place.folder / "missing")})
    assert (code, out) == (2, "")
    assert err == f"pam-sc: cannot read {str(place.folder / 'missing')!r}: No such file or directory\n"


@pytest.mark.parametrize("content", [b"", b"junk", b"\x30\x03\x02\x01\x01", b"-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_file_that_is_no_certificate_is_exit_code_2(place: Place, content: bytes) -> None:
    code, out, err = place.said(cert=place.put("broken.pem", content))
    assert (code, out) == (2, "")
    assert "broken.pem" in err


def test_two_certificates_in_one_file_are_exit_code_2(place: Place) -> None:
    code, _out, err = place.said(cert=place.put("two.pem", place.leaf.pem + place.issuing.pem))
    assert code == 2
    assert "found no certificate or several, expected one" in err


def test_folder_as_certificate_is_exit_code_2(place: Place) -> None:
    assert place.said(cert=str(place.folder))[0] == 2


@pytest.mark.parametrize("content", [None, b"junk"])
def test_no_anchor_is_exit_code_2(place: Place, content: bytes | None) -> None:
    (place.folder / "anchors" / "root.pem").unlink()
    if content is not None:
        place.put("anchors/junk", content)
    code, out, err = place.said()
    assert (code, out) == (2, "")
    assert "found no certificate" in err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--at-time", "yesterday"), ("--policy", "1.x"), ("--eku", "serverAuth"), ("--algorithms", "weak"), ("--mode", "on")],
)
def test_option_that_is_not_understood_is_exit_code_2(place: Place, option: str, value: str) -> None:
    code, out, err = place.said(option, value)
    assert (code, out) == (2, "")
    assert value in err


@pytest.mark.parametrize("name", ["anchors", "cert"])
def test_place_that_is_not_named_is_exit_code_2(place: Place, name: str) -> None:
    code, _out, err = place.said(**{name: None})
    assert (code, err) == (2, f"pam-sc: --{name} is missing\n")


# ---------------------------------------------------------------- many at once


def batch(place: Place, monkeypatch: pytest.MonkeyPatch, text: str, *options: str) -> tuple[int, Any, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, err = place.run("--batch", *options)
    return code, json.loads(out) if out else None, err


def entry(place: Place, name: str = "1", **more: object) -> dict[str, object]:
    places = {each: str(place.folder / each) for each in ("anchors", "intermediates", "crls")}
    return {"id": name, **places, "cert": str(place.folder / "alice.pem"), **more}


def test_batch_answers_each_entry_by_its_own_inputs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.folder / "crls" / "both.pem").unlink()
    entries = [
        entry(place, "unknown"),
        entry(place, "unlooked", no_revocation=True),
        entry(place, "policy", no_revocation=True, policies=[POLICY], explicit_policy=True),
        entry(place, "web", no_revocation=True, eku=SERVER_AUTH),
        entry(place, "late", no_revocation=True, at_time=(now() + 999 * DAY).isoformat()),
    ]
    code, answers, err = batch(place, monkeypatch, json.dumps(entries))
    assert (code, err) == (0, "")
    assert [(each["id"], each["trusted"], each.get("reason")) for each in answers] == [
        ("unknown", False, "revocation-unknown"),
        ("unlooked", True, None),
        ("policy", False, "path-invalid"),
        ("web", False, "extended-key-usage-unsuitable"),
        ("late", False, "certificate-expired"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"cert": "/nowhere"}, {"cert": None}, {"cert": 7}, {"anchors": "/nowhere"}, {"crls": ["/nowhere"]},
        {"policies": ["x"]}, {"policies": 7}, {"eku": [7]}, {"explicit_policy": "no"}, {"no_revocation": 1},
        {"at_time": "soon"}, {"no_revocations": True}, {"cert": "a\0b"},
    ],
)  # fmt: skip
def test_entry_that_cannot_be_judged_has_no_verdict_and_hides_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    code, answers, err = batch(place, monkeypatch, json.dumps([entry(place, "bad", **change), entry(place, "good")]))
    assert (code, err) == (2, "")
    assert answers[0]["id"] == "bad"
    assert answers[0]["trusted"] is None
    assert answers[0]["reason"]
    assert answers[1] == {"id": "good", "trusted": True}


@pytest.mark.parametrize("text", ["", "{", "{}", "7"])
def test_batch_that_is_no_list_is_exit_code_2(place: Place, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    code, answers, err = batch(place, monkeypatch, text)
    assert (code, answers) == (2, None)
    assert err.startswith("pam-sc: cannot read the batch: ")


def test_entry_that_is_no_table_has_no_verdict(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    code, answers, _err = batch(place, monkeypatch, "[7]")
    assert (code, answers[0]["trusted"]) == (2, None)


def test_batch_takes_no_places_from_the_command_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    code, answers, err = batch(place, monkeypatch, "[]", "--anchors", str(place.folder))
    assert (code, answers) == (2, None)
    assert "from stdin" in err
