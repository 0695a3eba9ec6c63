"""Designed sanctions on a small federation: what is measured is what runs say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fedfm_sim as fs
from fedfm_sim.cli import app
from fedfm_sim.core.errors import UserError
from fedfm_sim.experiments.design import design, honest_share, temptations_of
from fedfm_sim.experiments.workshop import Finished, Plan

SMALL = [
    "rounds=1",
    "participants.count=4",
    "participants.malicious=2",
    "deviations.actions=['contribute', 'backdoor', 'stay-out']",
    "design.policies=['best-response']",
    "design.check_rounds=3",
]


@pytest.mark.slow
def test_the_designed_point_deters_and_four_fifths_do_not(tmp_path: Path) -> None:
    scenario = fs.load_scenario("backdoor-deterrence", SMALL)
    made = design(scenario, seeds=[0], workshop=fs.Workshop.at(tmp_path))
    rate, fine = made.deterrent.rate, made.deterrent.fine
    assert (made.scenario.sanctions.audit_rate, made.scenario.sanctions.fine) == (rate, fine)
    assert "backdoor" in made.binding
    # The gains that a run under the designed sanctions measures are those foreseen.
    table = made.temptations
    foreseen = table["benefit"] - rate * (table["confiscated"] + fine * table["convicted"])
    assert foreseen.max() < 0
    overrides = [
        *SMALL,
        f"sanctions={{audit_rate={rate}, fine={fine}, deposit={fine}, audit_cost=1.0}}",
        'policies.malicious={name="fixed", action="contribute"}',
        "deviations.rounds=1",
    ]
    run = fs.run("backdoor-deterrence", 0, overrides=overrides)
    keys = ["round", "participant", "action"]
    own = table.assign(foreseen=foreseen)[table["path"] == "contribute"]
    both = own.merge(run.deviations, on=keys)
    assert len(both) == len(own) > 0
    np.testing.assert_allclose(both["gain"], both["foreseen"], rtol=1e-9, atol=1e-9)
    # By the margin of a tenth, and so no longer with four fifths of the audits.
    binding = table.iloc[made.deterrent.binding]
    sanction = rate * (binding["confiscated"] + fine * binding["convicted"])
    assert sanction == pytest.approx(1.1 * binding["benefit"])
    less = made.trials.groupby("part")["tempted"].first()
    assert less[1.0] == 0
    assert less[0.8] > 0
    # Whatever brings anything costs more than that, on the mean over rounds too.
    ratios = made.ratios(np.random.default_rng(0))
    assert (ratios["ratio"] > 1).all()
    assert ratios["ratio"].min() < 5
    attacks = table[(table["path"] == "contribute") & (table["action"] == "backdoor")]
    expected = rate * (attacks["confiscated"] + fine * attacks["convicted"])
    alone = ratios[(ratios["path"] == "contribute") & (ratios["action"] == "backdoor")]
    assert alone["ratio"].item() == pytest.approx(expected.mean() / attacks["benefit"].mean())
    assert made.frontier["rate"].is_monotonic_decreasing
    at_point = made.trials[made.trials["part"] == 1.0]
    assert (at_point["honest"] == 1).all()
    # Nothing is trained twice.
    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/summary.json")}
    again = design(scenario, seeds=[0], workshop=fs.Workshop.at(tmp_path, resume=True))
    assert {path: path.stat().st_mtime_ns for path in stamp} == stamp
    assert again.deterrent == made.deterrent


def test_objectives_and_alternatives(tmp_path: Path) -> None:
    """The folder's trainings serve all objectives; another defence may need no audit."""
    overrides = [
        *SMALL,
        "participants.malicious=1",
        "watermark={name='fedcip', bits=4, weight=1e-6}",
    ]
    scenario = fs.load_scenario("backdoor-deterrence", overrides)
    made = {
        name: design(scenario, name, [0], fs.Workshop.at(tmp_path, resume=True), trials=0)
        for name in ("budget", "audits", "fines", "surplus")
    }
    (said,) = made["budget"].remarks
    assert said.startswith("watermark 'fedcip': bits = 4: if all are known, p is 6e-02")
    assert f"note: {said}" in repr(made["budget"])
    assert made["audits"].deterrent.fine == scenario.design.largest_fine
    assert made["audits"].deterrent.rate < made["budget"].deterrent.rate
    assert made["fines"].deterrent.rate == pytest.approx(1)
    assert made["fines"].deterrent.fine < made["budget"].deterrent.fine
    assert made["surplus"].deterrent == made["budget"].deterrent
    row = made["budget"].settings.iloc[0]
    assert made["surplus"].cost == pytest.approx(made["budget"].cost - row["value"])
    bill = 4 * (made["budget"].deterrent.rate * 1.0 + made["budget"].deterrent.fine * 0.02)
    assert made["budget"].cost == pytest.approx(bill + row["payments"])


def test_temptations_are_against_honesty_whatever_is_played() -> None:
    plan = Plan("scenario,backdoor,seed=3", fs.load_scenario("backdoor-deterrence"), 3)
    rows = [
        {"participant": 0, "kind": "malicious", "played": "backdoor", "action": action,
         "round": number, "benefit": value, "confiscated": 2 * value, "convicted": gone}
        for number in (1, 2)
        for action, value, gone in (("contribute", -4.0 - number, -1.0), ("snoop", 1.0, -0.5))
    ]  # fmt: skip
    run = Finished(plan, {}, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(rows))
    table = temptations_of([run]).set_index("action")
    # Attacking itself brings what going honest would lose: 5, then 6.
    attacks, snoops = table[table.index == "backdoor"], table[table.index == "snoop"]
    assert attacks[["benefit", "confiscated", "convicted"]].to_numpy().tolist() == [
        [5, 10, 1],
        [6, 12, 1],
    ]
    assert snoops[["benefit", "convicted"]].to_numpy().tolist() == [[6, 0.5], [7, 0.5]]
    assert set(table["seed"]) == {3}
    assert set(table["path"]) == {"backdoor"}


def test_a_round_is_honest_when_nobody_attacks() -> None:
    scenario = fs.load_scenario("backdoor-deterrence")
    actions = {7: ("backdoor", "contribute"), 8: ("stay-out", "contribute"),
               9: ("contribute", "contribute"), 3: ("backdoor", "backdoor")}  # fmt: skip
    rows = [{"round": r, "action": a} for r, both in actions.items() for a in both]
    plan = Plan("x", scenario, 0)
    run = Finished(plan, {}, pd.DataFrame(), pd.DataFrame(rows), pd.DataFrame())
    assert honest_share(run, scenario) == pytest.approx(2 / 3)


def test_the_command(tmp_path: Path) -> None:
    arguments = ["design", "backdoor-deterrence", "--replicates", "1", "--jobs", "1",
                 "--trials", "0", "--out", str(tmp_path), "--json"]  # fmt: skip
    for override in [*SMALL, "participants.count=3", "participants.malicious=1"]:
        arguments += ["--set", override]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert 0 < facts["audit_rate"] <= 1
    assert facts["trials"] == []
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") == 2
    assert len(pd.read_parquet(tmp_path / "frontier.parquet")) > 10


@pytest.mark.parametrize(
    ("objective", "overrides", "message"),
    [
        ("thrift", [], "unknown objective 'thrift'; expected one of: budget"),
        ("budget", ["design.largest_fine=1.0"], "no audit rate up to 1 and fine up to 1 keeps"),
        ("budget", ["deviations.actions=['backdoor']"], "expected 'contribute' among them"),
        ("budget", ["sanctions.audit_focus=0.5"], "equal chances"),
    ],
)
def test_designs_that_cannot_be(objective: str, overrides: list[str], message: str) -> None:
    small = [*SMALL, "rounds=1", "participants.count=3", "participants.malicious=1"]
    with pytest.raises(UserError, match=message):
        design(fs.load_scenario("backdoor-deterrence", [*small, *overrides]), objective, [0])
