"""``fedfm-sim equilibrium``: a scenario's game, trained, solved, and learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    records,
    table_of,
)
from fedfm_sim.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from fedfm_sim.experiments.attack_game import AttackGame
    from fedfm_sim.experiments.federation_game import FederationGame
    from fedfm_sim.games.empirical import EmpiricalGame, Intervals
    from fedfm_sim.scenarios.schema import Scenario

#: Steps of the learning that is drawn.
STEPS = 3000

Found = tuple["Intervals", ...]


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
    from fedfm_sim.core.random import Streams
    from fedfm_sim.experiments.attack_game import ATTACKS, RULES, attack_game
    from fedfm_sim.experiments.federation_game import FederationGame, federation_game
    from fedfm_sim.experiments.files import write_text
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    folder = out or Path("runs") / f"equilibrium-{Path(name).stem}"
    seeds = range(seed, seed + replicates)
    rng = Streams(seed, scenario.name).generator("bootstrap")
    played: AttackGame | FederationGame
    try:
        with Bar("runs") as bar:
            if scenario.game is None:
                chosen = _names(attacks, ATTACKS), _names(defences, RULES)
                played = attack_game(scenario, seeds, *chosen, folder, resume, bar, jobs, extra)
            elif attacks or defences or extra:
                raise UserError("--attacks, --defences and --extra: not for a scenario with [game]")
            else:
                played = federation_game(scenario, seeds, folder, resume, bar, jobs)
    except KeyboardInterrupt:
        raise interrupted("go on with --resume") from None
    found = played.solve(rng)
    facts = {
        "scenario": scenario.name,
        "replicates": replicates,
        "equilibria": [_equilibrium(played, own) for own in found],
        **(
            _of_federation(played, found, rng)
            if isinstance(played, FederationGame)
            else _of_attacks(played, rng)
        ),
    }
    write_text(folder / "equilibrium.json", json.dumps(facts, indent=2) + "\n")
    _report(scenario, folder, facts, played, found, rng)
    if as_json:
        print(json.dumps(facts))
        return
    console = Console()
    console.print(table_of(_rows(played.roles, facts["equilibria"])))
    if facts.get("exploitability"):
        console.print(table_of(_exploited(facts), "Against each rule alone"))
    for line in _lines(facts):
        console.print(line, soft_wrap=True)
    console.print(f"report: {folder}/report.html", soft_wrap=True)


def _equilibrium(played: AttackGame | FederationGame, own: Intervals) -> dict[str, Any]:
    found = own.equilibrium
    plays = zip(played.roles, played.actions, found.strategies, strict=True)
    return {
        **{role: _mixture(names, strategy) for role, names, strategy in plays},
        "payoffs": found.payoffs.tolist(),
        "low": own.low.tolist(),
        "high": own.high.tolist(),
        "regret": found.regret,
        "regret_high": own.regret_high,
    }


def _of_federation(
    played: FederationGame, found: Found, rng: np.random.Generator
) -> dict[str, Any]:
    best, worst = played.anarchy([own.equilibrium for own in found])
    honest = [names[0] for names in played.actions]
    return {
        "players": list(played.game.players),
        "epsilon_star": {" / ".join(honest): asdict(played.epsilon_star(honest, rng))},
        "best_welfare": best,
        "worst_equilibrium_welfare": worst,
        "front": records(played.front()),
    }


def _of_attacks(played: AttackGame, rng: np.random.Generator) -> dict[str, Any]:
    from fedfm_sim.agents.actions import HONEST

    wanted = played.empirical.most_wanted(3)
    honest = HONEST in played.actions[0]
    return {
        "exploitability": records(played.exploitability(rng)) if honest else [],
        "deterrence": records(played.deterrence(rng)),
        "most_wanted": [
            [names[a] for names, a in zip(played.actions, place, strict=True)] for place in wanted
        ],
    }


def _exploited(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "rule": row["defence"],
            "attackers' best reply": row["attack"],
            "gains over contributing": f"{row['gain']:.2f} ({row['low']:.2f} to {row['high']:.2f})",
            "leaves the server": f"{row['server']:.2f}",
        }
        for row in facts["exploitability"]
    ]


def _lines(facts: Mapping[str, Any]) -> list[str]:
    """Return what is said under the table."""
    if "front" not in facts:
        highs = [row["high"] for row in facts["deterrence"]]
        pays = sum(high is not None and high < 1 for high in highs)
        return [
            f"attacks that pay, cost over benefit below 1 within its interval: {pays} of "
            f"{len(highs)} pairs of attack and rule",
            f"another replicate would tell most of: {facts['most_wanted']}",
        ]
    ((profile, epsilon),) = facts["epsilon_star"].items()
    best, worst = facts["best_welfare"], facts["worst_equilibrium_welfare"]
    ratio = f"; price of anarchy {best / worst:.3f}" if worst > 0 else ""
    count = sum(row["best"] for row in facts["front"])
    return [
        f"epsilon* of {profile}: {epsilon['value']:.3f} ({epsilon['low']:.3f} to "
        f"{epsilon['high']:.3f}) money per round (Eq. 13)",
        f"welfare of the reduced game's players: {best:.2f} at best, {worst:.2f} in the worst "
        f"equilibrium{ratio}",
        f"profiles on the front of utility and cost (Eq. 14): {count} of {len(facts['front'])}",
    ]


def _rows(roles: tuple[str, ...], equilibria: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the equilibria as they are shown."""
    return [
        {
            **{
                f"{role}: play": ", ".join(f"{name} {part:.0%}" for name, part in own[role].items())
                for role in roles
            },
            **{
                f"{role}: money": f"{paid:.2f} ({low:.2f} to {high:.2f})"
                for role, paid, low, high in zip(
                    roles, own["payoffs"], own["low"], own["high"], strict=True
                )
            },
            "regret": f"{own['regret']:.1e}, at most {own['regret_high']:.2f} of 95 % resamples",
        }
        for own in equilibria
    ]


def _report(
    scenario: Scenario,
    folder: Path,
    facts: Mapping[str, Any],
    played: AttackGame | FederationGame,
    found: Found,
    rng: np.random.Generator,
) -> None:
    import pandas as pd

    from fedfm_sim.experiments.federation_game import FederationGame
    from fedfm_sim.reporting import game_figures as figures
    from fedfm_sim.reporting.page import Section, write_page

    equilibria = pd.DataFrame(_rows(played.roles, facts["equilibria"]))
    sections, game = [Section("Equilibria", table=equilibria)], played.empirical

    def add(name: str, heading: str, text: str, figure: Any) -> None:
        figure.savefig(folder / f"{name}.png", dpi=130)
        sections.append(Section(heading, text, figure))

    if len(game.actions) == 2:
        pair = (played.roles[0], played.roles[-1])
        add("payoffs", "Payoffs", "Means and standard errors over seeds; framed: best replies.",
            figures.draw_payoffs(game, found, pair))  # fmt: skip
        add("best-replies", "Best replies", "Filled: nobody leaves; ringed: the equilibrium.",
            figures.draw_best_replies(game.game, found, pair))  # fmt: skip
    paths = _learning(game, rng)
    single = found if all(len(game.actions) == len(o.equilibrium.strategies) for o in found) else ()
    add("learning", "Learning", "Averages of play where a rule learns by averages.",
        figures.draw_trajectories(game.game, paths, single))  # fmt: skip
    if isinstance(played, FederationGame):
        add("front", "Utility against cost (Eq. 14)", "Totals over participants.",
            figures.draw_front(played.front()))  # fmt: skip
        sections.append(Section("Runs", table=played.runs))
    else:
        if facts["exploitability"]:
            exploited = pd.DataFrame(_exploited(facts))
            sections.append(Section("Against each rule alone", table=exploited))
        if facts["deterrence"]:
            floats = dict.fromkeys(("ratio", "low", "high"), float)
            ratios = pd.DataFrame(facts["deterrence"]).astype(floats).fillna(float("inf"))
            add("deterrence", "Deterrence ratios", "With 95 % intervals over seeds.",
                figures.draw_deterrence(ratios))  # fmt: skip
    lead = f"{scenario.description} Payoffs are money, measured on {game.replicates} seeds."
    write_page(folder / "report.html", scenario.name, lead, sections)


def _learning(game: EmpiricalGame, rng: np.random.Generator) -> dict[str, Any]:
    """Return the paths of the learning rules from uniform play."""
    import numpy as np

    from fedfm_sim.games import dynamics

    own = game.game
    start = [np.full(len(names), 1 / len(names)) for names in own.actions]
    return {
        "best response": dynamics.best_response(own, start, STEPS, rate=0.1),
        "logit": dynamics.logit(own, start, STEPS, precision=20 / own.scale),
        "replicator": dynamics.replicator(own, start, STEPS, rate=2 / own.scale),
        "fictitious play": dynamics.fictitious_play(own, start, STEPS),
        "regret matching": dynamics.regret_matching(own, STEPS),
        "Exp3": dynamics.exp3(own, STEPS, rng),
        "Q-learning": dynamics.q_learning(own, STEPS, rng),
    }


def _names(text: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else default
    if not all(names) or len(set(names)) != len(names):
        raise UserError(f"'{text}': expected different names, separated by commas")
    return names


def _mixture(names: tuple[str, ...], shares: Any) -> dict[str, float]:
    pairs = zip(names, shares, strict=True)
    return {name: round(float(share), 6) for name, share in pairs if share > 1e-6}
