# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc migrate`: write the pam_sc.toml that means what a pam_pkcs11.conf or an sssd.conf means.

The old file is only read. What cannot be carried over is an error, and then nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from pam_sc.cli.machine import trusted_uids
from pam_sc.cli.new_file import write_new_file
from pam_sc.cli.output import complain, print_json, print_line
from pam_sc.config.migration import migrated, said, to_look_at
from pam_sc.config.notes import Note, NoteKind
from pam_sc.config.pam_pkcs11 import Translation
from pam_sc.config.pam_pkcs11_file import explain
from pam_sc.config.toml import read_text, read_tree
from pam_sc.config.where import dotted

EPILOG = "Exit codes: 0 done; 1 done, and there is something to decide about; 2 not done, and why; 70 a defect."
PAM_PKCS11, SSSD = "pam_pkcs11", "sssd"
_NOWHERE = {PAM_PKCS11: "PAM line", SSSD: "not set"}
"""What a note speaks of that is on no line of the file."""


@click.command(epilog=EPILOG, short_help="Write a pam_sc.toml from a pam_pkcs11.conf or an sssd.conf.")
@click.argument("file")
@click.option("--output", metavar="FILE", help="Where to write it [default: stdout].")
@click.option("--force", is_flag=True, help="Replace the file that --output names.")
@click.option("--format", "form", type=click.Choice([PAM_PKCS11, SSSD]), help="What FILE is [default: by its name].")
@click.option("--argument", "arguments", multiple=True, metavar="WORD",
              help="An argument of the old PAM line, such as cert_policy=ca,crl_auto; may be repeated.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def migrate(
    file: str, output: str | None, force: bool, form: str | None, arguments: Sequence[str], as_json: bool
) -> int:
    """Write the pam_sc.toml that means what FILE means, with a comment for everything that is different here.

    FILE is a pam_pkcs11.conf, or an sssd.conf for its certificate rules and what its section [pam] says of cards.
    """
    source = os.path.abspath(file)
    form = form or _form_of(source)
    translation = _translation(source, form, arguments)
    if translation.errors():
        return _refuse(source, translation.notes, as_json=as_json)
    text = _text(translation, source, _NOWHERE[form])
    if output is not None:
        write_new_file(output, text, force=force)
    decide = to_look_at(translation.notes)
    if as_json:
        print_json({"source": source, "output": output, "toml": text, "notes": [_as_json(note) for note in translation.notes]})
    elif output is None:
        click.echo(text, nl=False)
    else:
        _tell(output, decide, len(translation.notes), _NOWHERE[form])
    return 1 if decide else 0


def _form_of(path: str) -> str:
    return SSSD if "sssd" in os.path.basename(path) or "/sssd/" in path else PAM_PKCS11


def _translation(source: str, form: str, arguments: Sequence[str]) -> Translation:
    text = read_text(source, trusted_uids())
    if form == SSSD:
        from pam_sc.cli.sssd import translate_whole

        if arguments:
            raise click.UsageError("--argument is for the PAM line of pam_pkcs11")
        return translate_whole(text, source)
    from pam_sc.config.pam_pkcs11 import translate

    return translate(text, source, arguments)


def _text(translation: Translation, source: str, nowhere: str) -> str:
    """The text of a configuration that a login would not refuse; ConfigError with the old file's line otherwise."""
    places = {dotted(path): f"{source}:{line}" for path, line in translation.lines.items() if line}
    read_tree(source, translation.tree, lambda mismatch: explain(mismatch, places, source))
    return migrated(translation, source, nowhere=nowhere)


def _refuse(source: str, notes: Sequence[Note], *, as_json: bool) -> int:
    errors = [note for note in notes if note.kind is NoteKind.ERROR]
    if as_json:
        print_json({"source": source, "output": None, "toml": None, "notes": [_as_json(note) for note in notes]})
    for note in errors:
        place = f"{source}:{note.line}" if note.line else source
        complain(f"{place}: {note.key}: {note.text}")
    if not as_json:
        complain(f"nothing is written: {len(errors)} of the settings of {source} cannot be carried over as they are")
    return 2


def _tell(output: str, decide: Sequence[Note], count: int, nowhere: str) -> None:
    print_line(f"{output} is written. Its comments say what is different, in {count} places.")
    for note in decide:
        print_line(f"  decide: {said(note, nowhere)}")
    print_line(f"Next: pam-sc check-config {output}; then in the PAM stack: pam_sc.so config={os.path.abspath(output)}")


def _as_json(note: Note) -> dict[str, object]:
    return {"line": note.line, "key": note.key, "kind": note.kind.value, "text": note.text}
