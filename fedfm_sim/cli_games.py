"""``fedfm-sim equilibrium``: the game of attackers and server, trained and solved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fedfm_sim.core.errors import UserError


def equilibrium(
    name: Annotated[str, typer.Argument(help="A catalogue name or a TOML file.")],
    seed: Annotated[int, typer.Option(min=0, help="The first of the replicates' seeds.")] = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Seeds, from --seed on.")] = 5,
    attacks: Annotated[str, typer.Option(help="Actions, by commas; default: six.")] = "",
    defences: Annotated[str, typer.Option(help="Rules, by commas; default: six.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the seeds already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object only.")] = False,
) -> None:
    """Solve the game of attackers and server on measured payoffs, with intervals."""
    import numpy as np
    from rich.progress import Progress

    from fedfm_sim.core.random import Streams
    from fedfm_sim.experiments.attack_game import ATTACKS, RULES, attack_game
    from fedfm_sim.reporting.game_figures import draw_payoffs
    from fedfm_sim.scenarios.loader import load_scenario

    scenario = load_scenario(name, set_ or [])
    folder = out or Path("runs") / f"equilibrium-{Path(name).stem}"
    chosen = _names(attacks, ATTACKS), _names(defences, RULES)
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("replicates", total=None)
            played = attack_game(
                scenario, range(seed, seed + replicates), *chosen, folder, resume,
                lambda done, total: bar.update(task, completed=done, total=total), jobs,
            )  # fmt: skip
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; go on with --resume")
        raise typer.Exit(130) from None
    rng = Streams(seed, scenario.name).generator("bootstrap")
    found = played.game.solve(rng)
    figure = draw_payoffs(played.game, found, ("attackers", "server"))
    figure.savefig(folder / "payoffs.png", dpi=130)
    wanted = [
        [played.game.actions[i][a] for i, a in enumerate(place)]
        for place in played.game.most_wanted(3)
    ]
    facts: dict[str, Any] = {
        "scenario": scenario.name,
        "replicates": replicates,
        "equilibria": [
            {
                "attackers": _mixture(played.game.actions[0], own.equilibrium.strategies[0]),
                "server": _mixture(played.game.actions[1], own.equilibrium.strategies[1]),
                "payoffs": own.equilibrium.payoffs.tolist(),
                "low": own.low.tolist(),
                "high": own.high.tolist(),
                "regret": own.equilibrium.regret,
                "regret_high": own.regret_high,
            }
            for own in found
        ],
        "most_wanted": wanted,
    }
    (folder / "equilibrium.json").write_text(json.dumps(facts, indent=2) + "\n")
    if as_json:
        print(json.dumps(facts))
        return
    table = Table("", "attackers play", "server plays", "pays attackers", "pays server", "regret",
                  box=None)  # fmt: skip
    for number, own in enumerate(found, 1):
        strategies, low, high = own.equilibrium.strategies, own.low, own.high
        texts = [
            ", ".join(f"{n} {p:.0%}" for n, p in _mixture(names, np.asarray(s)).items())
            for names, s in zip(played.game.actions, strategies, strict=True)
        ]
        paid = [
            f"{own.equilibrium.payoffs[i]:.2f} ({low[i]:.2f} to {high[i]:.2f})" for i in range(2)
        ]
        regret = f"{own.equilibrium.regret:.1e}, at most {own.regret_high:.2f} of 95 % resamples"
        table.add_row(str(number), *texts, *paid, regret)
    console = Console()
    console.print(table)
    console.print(f"another replicate would tell most of: {wanted}", soft_wrap=True)
    console.print(f"picture: {folder}/payoffs.png", soft_wrap=True)


def _names(text: str, default: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else default
    if not all(names) or len(set(names)) != len(names):
        raise UserError(f"'{text}': expected different names, separated by commas")
    return names


def _mixture(names: tuple[str, ...], shares: Any) -> dict[str, float]:
    pairs = zip(names, shares, strict=True)
    return {name: round(float(share), 6) for name, share in pairs if share > 1e-6}
