# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc migrate`: write the pam_sc.toml that means what a pam_pkcs11.conf or an sssd.conf means, or its [monitor] alone.

The old files are only read. What cannot be carried over is an error, and then nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from pam_sc.cli.machine import trusted_uids
from pam_sc.cli.new_file import write_new_file
from pam_sc.cli.output import complain, print_json, print_line
from pam_sc.config.eventmgr import is_eventmgr, translate_eventmgr
from pam_sc.config.eventmgr_file import read_table, with_module_note
from pam_sc.config.migration import migrated, said, to_look_at
from pam_sc.config.pam_pkcs11 import Translation, translate
from pam_sc.config.pam_pkcs11_file import explain
from pam_sc.config.toml import read_text, read_tree
from pam_sc.config.where import dotted
from pam_sc.record import record

EPILOG = "Exit codes: 0 done; 1 done, and there is something to decide about; 2 not done, and why; 70 a defect."
PAM_PKCS11, SSSD, EVENTMGR = "pam_pkcs11", "sssd", "eventmgr"
_NOWHERE = {PAM_PKCS11: "PAM line", SSSD: "not set", EVENTMGR: "argument"}
"""What a note speaks of that is on no line of the file."""


@record(kw_only=True)
class _Old:
    """One old file."""

    source: str
    form: str
    translation: Translation
    text: str
    """What it becomes; "" where it has errors."""

    def to_decide(self) -> list[str]:
        """The notes that somebody has to decide about, each as a sentence."""
        return [said(note, _NOWHERE[self.form]) for note in to_look_at(self.translation.notes)]


@click.command(epilog=EPILOG, short_help="Write a pam_sc.toml from a pam_pkcs11.conf or an sssd.conf.")
@click.argument("file")
@click.option("--eventmgr", metavar="FILE", help="A pkcs11_eventmgr.conf or card_eventmgr.conf, for the table [monitor].")
@click.option("--output", metavar="FILE", help="Where to write it [default: stdout].")
@click.option("--force", is_flag=True, help="Replace the file that --output names.")
@click.option("--format", "form", type=click.Choice([PAM_PKCS11, SSSD, EVENTMGR]), help="What FILE is [default: by its name].")
@click.option("--argument", "arguments", multiple=True, metavar="WORD",
              help="An argument of the old PAM line, such as cert_policy=ca,crl_auto; may be repeated.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def migrate(  # noqa: PLR0913 - each is an option
    file: str, eventmgr: str | None, output: str | None, force: bool, form: str | None, arguments: Sequence[str], as_json: bool
) -> int:
    """Write the pam_sc.toml that means what FILE means, with a comment for everything that is different here.

    FILE is a pam_pkcs11.conf, or an sssd.conf for its certificate rules and what its section [pam] says of cards. Of a
    pkcs11_eventmgr.conf or card_eventmgr.conf only the table [monitor] is written.
    """
    old = [_read(os.path.abspath(file), form, arguments)]
    if eventmgr is not None:
        if old[0].form == EVENTMGR:
            raise click.UsageError("--eventmgr is for a FILE that is none of an event manager")
        old.append(_of_monitor(os.path.abspath(eventmgr), (), old[0].translation))
    if any(each.translation.errors() for each in old):
        return _refuse(old, as_json=as_json)
    text = "\n".join(each.text for each in old)
    if output is not None:
        write_new_file(output, text, force=force)
    decide = [sentence for each in old for sentence in each.to_decide()]
    if as_json:
        print_json({"source": old[0].source, "output": output, "toml": text, "notes": _as_json(old)})
    elif output is None:
        click.echo(text, nl=False)
    else:
        _tell(output, old, decide)
    return 1 if decide else 0


def _form_of(path: str) -> str:
    """By the name; whether a file is an event manager's is seen in it."""
    return SSSD if "sssd" in os.path.basename(path) or "/sssd/" in path else PAM_PKCS11


def _read(source: str, form: str | None, arguments: Sequence[str]) -> _Old:
    text = read_text(source, trusted_uids())
    form = form or _form_of(source)
    if form == SSSD:
        from pam_sc.cli.sssd import translate_whole

        if arguments:
            raise click.UsageError("--argument is for the PAM line of pam_pkcs11, or the command line of an event manager")
        return _whole(source, form, translate_whole(text, source))
    if form == EVENTMGR or is_eventmgr(text, source):
        return _of_monitor(source, arguments, None)
    return _whole(source, form, translate(text, source, arguments))


def _whole(source: str, form: str, translation: Translation) -> _Old:
    """A configuration that a login would not refuse; ConfigError with the old file's line otherwise."""
    text = ""
    if not translation.errors():
        places = {dotted(path): f"{source}:{line}" for path, line in translation.lines.items() if line}
        read_tree(source, translation.tree, lambda mismatch: explain(mismatch, places, source))
        text = migrated(translation, source, nowhere=_NOWHERE[form])
    return _Old(source=source, form=form, translation=translation, text=text)


def _of_monitor(source: str, arguments: Sequence[str], beside: Translation | None) -> _Old:
    """[monitor] that the monitor would not refuse; ConfigError with the old file's line otherwise."""
    found = translate_eventmgr(read_text(source, trusted_uids()), source, arguments)
    modules = [module["path"] for module in beside.tree["token"]["module"]] if beside and not beside.errors() else None
    found = with_module_note(found, modules, "pam_sc.toml")
    text = ""
    if not found.translation.errors():
        read_table(found, source)
        text = migrated(found.translation, source, nowhere=_NOWHERE[EVENTMGR])
    return _Old(source=source, form=EVENTMGR, translation=found.translation, text=text)


def _refuse(old: Sequence[_Old], *, as_json: bool) -> int:
    if as_json:
        print_json({"source": old[0].source, "output": None, "toml": None, "notes": _as_json(old)})
    for each in old:
        errors = each.translation.errors()
        for note in errors:
            place = f"{each.source}:{note.line}" if note.line else each.source
            complain(f"{place}: {note.key}: {note.text}")
        if errors and not as_json:
            complain(f"nothing is written: {len(errors)} of the settings of {each.source} cannot be carried over as they are")
    return 2


def _tell(output: str, old: Sequence[_Old], decide: Sequence[str]) -> None:
    count = sum(len(each.translation.notes) for each in old)
    print_line(f"{output} is written. Its comments say what is different, in {count} places.")
    for sentence in decide:
        print_line(f"  decide: {sentence}")
    if old[0].form == EVENTMGR:
        print_line("Next: put this table into /etc/pam_sc/pam_sc.toml; then pam-sc check-config")
    else:
        print_line(f"Next: pam-sc check-config {output}; then in the PAM stack: pam_sc.so config={os.path.abspath(output)}")


def _as_json(old: Sequence[_Old]) -> list[dict[str, object]]:
    return [
        {"file": each.source, "line": note.line, "key": note.key, "kind": note.kind.value, "text": note.text}
        for each in old
        for note in each.translation.notes
    ]
