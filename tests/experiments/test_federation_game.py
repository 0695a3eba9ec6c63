"""Games of whole federations: every profile is a run, and the reduced game is made of them."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fedfm_sim as fs
from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.federation_game import federation_game

SMALL = ["rounds=1", "participants.count=4", "participants.malicious=2"]


@pytest.mark.slow
def test_inspection(tmp_path: Path) -> None:
    """The mixed equilibrium is the closed form's on the measured payoffs."""
    scenario = fs.load_scenario("inspection-game", SMALL)
    game = federation_game(scenario, [1], fs.Workshop.at(tmp_path))
    assert game.roles == ("malicious", "server")
    assert game.actions == (("contribute", "free-ride"), ("trust", "audit"))
    assert len(game.runs) == 2 * 2
    assert game.one_each
    paid, server = game.empirical.game.payoffs
    (found,) = game.solve(np.random.default_rng(0))
    cheating = paid[1] - paid[0]  # what riding free gains under trust, and under audit
    audits = found.equilibrium.strategies[1][1]
    assert audits == pytest.approx(cheating[0] / (cheating[0] - cheating[1]))
    trusting = server[:, 0] - server[:, 1]
    rides = found.equilibrium.strategies[0][1]
    assert rides == pytest.approx(trusting[0] / (trusting[0] - trusting[1]))
    epsilon = game.epsilon_star(("contribute", "trust"), np.random.default_rng(0))
    assert epsilon.value == pytest.approx(cheating[0])
    assert np.isnan([epsilon.low, epsilon.high]).all()  # one seed
    with pytest.raises(UserError, match="one action of each"):
        game.epsilon_star(("contribute",), np.random.default_rng(0))

    # A cell is an ordinary run.
    alone = fs.run(
        "inspection-game",
        1,
        overrides=[
            *SMALL,
            "sanctions.audit_rate=1.0",
            'policies.malicious={name="fixed", action="free-ride"}',
            "deviations.rounds=0",
        ],
    )
    malicious = alone.participants[alone.participants["kind"] == "malicious"]
    assert game.empirical.samples[0, 0, 1, 1] == malicious["utility"].mean()
    row = game.runs.query("rule == 'audit' and profile == '2 free-ride' and seed == 1").iloc[0]
    assert row["utility"] == pytest.approx(alone.participants["utility"].sum())

    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    again = federation_game(scenario, [1], fs.Workshop.at(tmp_path, resume=True))
    assert {path: path.stat().st_mtime_ns for path in stamp} == stamp
    pd.testing.assert_frame_equal(again.runs, game.runs, check_exact=True)


@pytest.mark.slow
def test_one_of_many_decides_alone() -> None:
    """Two players stand for three honest: one deviates, the others do as most do."""
    scenario = fs.load_scenario("reporting-game", ["rounds=1", "participants.count=5"])
    game = federation_game(scenario, [0])
    assert game.game.players == (2, 1)
    played = set(game.runs["profile"])
    assert "1 contribute + 2 report + 2 gaussian" in played
    assert "3 contribute + 2 contribute" in played
    found = game.solve(np.random.default_rng(0))
    assert found
    for own in found:
        assert own.equilibrium.regret < 1e-6
        assert [len(part) for part in own.equilibrium.strategies] == [2, 2]
    front = game.front()
    best = front[front["best"]]
    assert front["welfare"].max() == best["welfare"].max()
    for _, row in front[~front["best"]].iterrows():
        assert ((best["welfare"] >= row["welfare"]) & (best["cost"] <= row["cost"])).any()


def test_the_command(tmp_path: Path) -> None:
    arguments = ["equilibrium", "inspection-game", "--replicates", "1", "--jobs", "1",
                 "--out", str(tmp_path), "--json"]  # fmt: skip
    for override in [*SMALL, "defence={name='krum', attackers=1}"]:
        arguments += ["--set", override]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert sum(facts["equilibria"][0]["server"].values()) == pytest.approx(1, abs=1e-5)
    epsilon = facts["epsilon_star"]["contribute / trust"]
    assert epsilon["value"] > 0
    assert epsilon["low"] is epsilon["high"] is None
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    ((said, of),) = [own.split(" (in ") for own in facts["remarks"]]
    assert said.startswith("defence 'krum': attackers = 1 needs n >= 2 f + 3 = 5 updates; with 4")
    assert of == "4 of 4 runs)"
    assert f"Note: {said} (in" in html.unescape(page)
    wrong = CliRunner().invoke(app, [*arguments, "--attacks", "backdoor"])
    assert "not for a scenario with [game]" in str(wrong.exception)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["game.actions.honest=['steal']"], "game.actions.honest: unknown action 'steal'"),
        (["participants.malicious=0"], "0 participants of the kind"),
        (["game.actions.malicious=['contribute','contribute']"], "different actions"),
        (["game.rules.trust={'sanctions.fin'=1}"], "game.rules.trust: sanctions.fin: unknown key"),
        (["game.players.malicious=9"], "exceed"),
    ],
)
def test_what_is_no_game(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        federation_game(fs.load_scenario("inspection-game", overrides), [0])


def test_a_scenario_without_a_game() -> None:
    with pytest.raises(UserError, match=r"no \[game\]"):
        federation_game(fs.load_scenario("quickstart"), [0])
