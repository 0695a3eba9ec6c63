"""``fedfm-sim equilibrium``: a scenario's game, trained, solved, and learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedfm_sim.cli.folders import study_folder
from fedfm_sim.cli.shared import (
    Bar,
    Jobs,
    Json,
    Name,
    Out,
    Resume,
    Seed,
    Set,
    print_report_path,
    print_rows,
    tell,
)
from fedfm_sim.core.errors import UserError
from fedfm_sim.reporting.terminal import terminal

if TYPE_CHECKING:
    from fedfm_sim.experiments.measured_game import MeasuredGame


def equilibrium(
    name: Name,
    seed: Seed = 0,
    replicates: Annotated[int, typer.Option(min=1, help="How many seeds, from --seed on.")] = 5,
    extra: Annotated[
        int, typer.Option(min=0, help="Runs to add where they would change the answer most.")
    ] = 0,
    attacks: Annotated[
        str, typer.Option(help="Actions of attackers, by commas; by default six.")
    ] = "",
    defences: Annotated[
        str, typer.Option(help="Aggregation rules, by commas; by default six.")
    ] = "",
    jobs: Jobs = 2,
    out: Out = None,
    set_: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Solve a scenario's game on measured payoffs, with intervals.

    Where the scenario has a table [game], the players are the kinds of participants that it
    names, and the server, who chooses among its rules. In any other scenario the malicious
    participants choose an attack, and the server an aggregation rule. In the JSON output,
    null stands for an infinite number.
    """
    from fedfm_sim.experiments.attack_game import ATTACKS, RULES, attack_game
    from fedfm_sim.experiments.attack_result import AttackGame
    from fedfm_sim.experiments.federation_game import federation_game
    from fedfm_sim.experiments.federation_result import FederationGame
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    kind = AttackGame if scenario.game is None else FederationGame
    seeds = range(seed, seed + replicates)
    if scenario.game is not None and (attacks or defences or extra):
        raise UserError("--attacks, --defences and --extra: not for a scenario with [game]")
    chosen = _names(attacks, ATTACKS, "--attacks"), _names(defences, RULES, "--defences")
    settings = chosen, seed, replicates, extra, scenario.whole()
    played: MeasuredGame
    with study_folder(out, f"equilibrium-{Path(name).stem}", kind, settings) as folder:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, jobs, bar, tell=tell)
            if scenario.game is None:
                played = attack_game(scenario, seeds, *chosen, workshop, extra)
            else:
                played = federation_game(scenario, seeds, workshop)
        played.save(folder)
    if as_json:
        print(json.dumps(played.summary))
        return
    console = terminal()
    print_rows(console, played.rows())
    if isinstance(played, AttackGame) and (exploited := played.exploited_rows()):
        print_rows(console, exploited, "Against each rule alone")
    for line in [*played.told(), *played.notes()]:
        console.print(line, soft_wrap=True)
    print_report_path(folder, played, console)


def _names(text: str, default: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else default
    if not all(names) or len(set(names)) != len(names):
        raise UserError(f"{option} {text}: expected different names, separated by commas")
    return names
