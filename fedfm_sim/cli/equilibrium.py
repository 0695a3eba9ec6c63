"""``fedfm-sim equilibrium``: a scenario's game, trained, solved, and learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from fedfm_sim.cli.shared import (
    Bar,
    Jobs,
    Json,
    Name,
    Out,
    Resume,
    Seed,
    Set,
    interrupted,
    print_report_path,
    study_folder,
    table_of,
)
from fedfm_sim.core.errors import UserError

if TYPE_CHECKING:
    from fedfm_sim.experiments.measured_game import MeasuredGame


def equilibrium(
    name: Name,
    seed: Seed = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Seeds, from --seed on.")] = 5,
    extra: Annotated[
        int, typer.Option(min=0, help="More runs, where they change the answer most.")
    ] = 0,
    attacks: Annotated[str, typer.Option(help="Actions, by commas; default: six.")] = "",
    defences: Annotated[str, typer.Option(help="Rules, by commas; default: six.")] = "",
    jobs: Jobs = 2,
    out: Out = None,
    set_: Set = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Solve a scenario's game on measured payoffs, with intervals.

    A scenario with a [game] is played by kinds of participants and the server's rules; any
    other by its malicious participants, who choose an attack, against aggregation rules. In
    JSON, null stands for infinite.
    """
    from fedfm_sim.experiments.attack_game import ATTACKS, RULES, attack_game
    from fedfm_sim.experiments.attack_result import AttackGame
    from fedfm_sim.experiments.federation_game import federation_game
    from fedfm_sim.experiments.federation_result import FederationGame
    from fedfm_sim.experiments.workshop import Workshop
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    kind = AttackGame if scenario.game is None else FederationGame
    folder = study_folder(out, f"equilibrium-{Path(name).stem}", kind)
    seeds = range(seed, seed + replicates)
    played: MeasuredGame
    try:
        with Bar("runs") as bar:
            workshop = Workshop.at(folder, resume, jobs, bar)
            if scenario.game is None:
                chosen = _names(attacks, ATTACKS), _names(defences, RULES)
                played = attack_game(scenario, seeds, *chosen, workshop, extra)
            elif attacks or defences or extra:
                raise UserError("--attacks, --defences and --extra: not for a scenario with [game]")
            else:
                played = federation_game(scenario, seeds, workshop)
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    played.save(folder)
    if as_json:
        print(json.dumps(played.summary))
        return
    console = Console()
    console.print(table_of(played.rows()))
    if isinstance(played, AttackGame) and (exploited := played.exploited_rows()):
        console.print(table_of(exploited, "Against each rule alone"))
    for line in played.told():
        console.print(line, soft_wrap=True)
    print_report_path(folder, played, console)


def _names(text: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else default
    if not all(names) or len(set(names)) != len(names):
        raise UserError(f"'{text}': expected different names, separated by commas")
    return names
