"""``fedfm-sim watermark``: mark, verify and trace adapters in peft's format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedfm_sim.cli.lists import LISTINGS, command
from fedfm_sim.cli.shared import Json, new_app, print_rows, show_help
from fedfm_sim.core.errors import UserError
from fedfm_sim.reporting.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from fedfm_sim.learning.adapter_files import StoredAdapter

app = new_app("Mark, verify and trace adapters in peft's format.")

app.callback(invoke_without_command=True)(show_help)

Adapter = Annotated[Path, typer.Argument(help="A folder with adapter_model.safetensors.")]
Base = Annotated[
    Path | None, typer.Option(help="The base model's folder, of a model with the adapter merged.")
]


@app.command(short_help="Write a copy of an adapter that carries a secret mark.")
def embed(
    adapter: Adapter,
    key: Annotated[Path, typer.Option(help="Key file; a new one is made where there is none.")],
    out: Annotated[Path, typer.Option(help="New folder for the marked adapter.")],
    owner: Annotated[str, typer.Option(help="Whose a new key is.")] = "",
    bits: Annotated[int, typer.Option(min=1, max=65_536, help="Of a new key.")] = 64,
    margin: Annotated[float, typer.Option(min=0.1, help="In deviations of an unmarked bit.")] = 4.0,
    private_key: Annotated[
        Path | None, typer.Option(help="Sign a new key by this Ed25519 key (PEM).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a copy that carries a secret mark; the adapter itself stays as it is."""
    from fedfm_sim.learning.adapter_files import open_adapter
    from fedfm_sim.security.watermarks.key import Key
    from fedfm_sim.security.watermarks.marking import mark, new_key

    stored = open_adapter(adapter)
    if key.suffix != ".json":
        raise UserError(f"--key {key}: expected a name that ends in .json, as trace looks for")
    if key.exists():
        if owner or private_key:
            raise UserError(f"--key {key}: the key exists; --owner and --private-key make new ones")
        own = Key.load(key)
        claim = mark(stored, own, out, margin)
    else:
        if not owner:
            raise UserError(f"--key {key}: no such key; name its --owner to make one")
        own = new_key(stored, owner, bits, private_key)
        claim = mark(stored, own, out, margin)
        own.save(key)
    _print({"owner": own.owner, "public_key": own.public_key, **asdict(claim)}, as_json)


@app.command(short_help="Say whether an adapter carries a mark; exit code 1 where it does not.")
def verify(
    adapter: Adapter,
    key: Annotated[Path, typer.Option(help="The owner's key file.")],
    claimants: Annotated[int, typer.Option(min=1, help="How many owners claim (Bonferroni).")] = 1,
    public_key: Annotated[
        str | None, typer.Option(help="The registered public key, 64 hexadecimal digits.")
    ] = None,
    base: Base = None,
    as_json: Json = False,
) -> None:
    """Say whether the adapter carries the mark; exit code 1 where the claim does not stand.

    The weights decide. What their files say of themselves can be edited, and is a note.
    """
    from fedfm_sim.security.watermarks.key import Key
    from fedfm_sim.security.watermarks.marking import notes
    from fedfm_sim.security.watermarks.marking import verify as verify_claim

    stored, own = _suspect(adapter, base), Key.load(key)
    claim = verify_claim(stored, own, claimants, public_key)
    facts = {**asdict(claim), "stands": claim.stands, "notes": notes(stored, [own])}
    _print(facts, as_json)
    if not claim.stands:
        raise typer.Exit(1)


@app.command(short_help="Say whose copy a leaked adapter is; exit code 1 where nobody is accused.")
def trace(
    adapter: Adapter,
    keys: Annotated[Path, typer.Option(help="Folder with the key of every copy.")],
    base: Base = None,
    as_json: Json = False,
) -> None:
    """Say whose copy a leaked adapter is; exit code 1 where nobody can be accused."""
    from fedfm_sim.security.watermarks.marking import notes, read_keys
    from fedfm_sim.security.watermarks.marking import trace as trace_leak

    stored, tried = _suspect(adapter, base), read_keys(keys)
    found, differ = trace_leak(stored, tried), notes(stored, tried)
    accused = None if found.accused is None else found.claims[found.accused].owner
    if as_json:
        rows = [
            asdict(c) | {"score": float(s)} for c, s in zip(found.claims, found.scores, strict=True)
        ]
        print(json.dumps({"accused": accused, "claims": rows, "notes": differ}))
    else:
        rows = []
        for number in found.scores.argsort()[::-1]:
            own = found.claims[number]
            row = {"owner": own.owner, "similarity": f"{found.scores[number]:.2f}"}
            row |= {"bits": f"{own.hits} of {own.trials}", "p-value": f"{own.p_value:.1e}"}
            rows.append(row)
        console = terminal()
        print_rows(console, rows)
        _print_notes(console, differ)
        console.print(f"accused: {accused or 'nobody'}", overflow="fold")
    if accused is None:
        raise typer.Exit(1)


app.command("schemes", short_help=LISTINGS["watermarks"].help)(command("watermarks"))


def _suspect(adapter: Path, base: Path | None) -> StoredAdapter:
    from fedfm_sim.learning.adapter_files import open_adapter, open_merged

    return open_adapter(adapter) if base is None else open_merged(adapter, base)


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    console = terminal()
    console.print(
        f"owner {facts['owner']}: {facts['hits']} of {facts['trials']} bits, "
        f"p = {facts['p_value']:.1e} among {facts['claimants']} claimant(s)"
    )
    if facts.get("public_key"):
        console.print(f"register this public key: {facts['public_key']}", soft_wrap=True)
    _print_notes(console, facts.get("notes", ()))
    if "stands" in facts:
        console.print("the claim stands" if facts["stands"] else "no proof of ownership")


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True)
