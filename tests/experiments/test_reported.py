"""Results made by hand, without any training: their pages, pictures, files and short repr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fedfm_sim as fs
from fedfm_sim.experiments.attack_result import AttackGame
from fedfm_sim.experiments.compare import MEASURES, Comparison
from fedfm_sim.experiments.design_result import Design
from fedfm_sim.experiments.forgetting import Forgetting
from fedfm_sim.experiments.reported import WRITTEN, Reported
from fedfm_sim.mechanisms.theory.deterrence import Deterrent


def game() -> Reported:
    rows = [
        {"seed": seed, "attack": attack, "defence": rule, "cost": cost, "benefit": benefit,
         "attackers": benefit - cost, "server": 10 - benefit}
        for seed, brought in ((4, 8.0), (5, 4.0))
        for attack, cost in (("contribute", 0.0), ("backdoor", 2.0))
        for rule, benefit in (("open", brought * (cost > 0)), ("shut", 0.0))
    ]  # fmt: skip
    return AttackGame(fs.load_scenario("attack-defence-game"), pd.DataFrame(rows))


def comparison() -> Reported:
    measured = {"accuracy_after": [0.5, 0.75], "leakage": [0.1, 0.2], "megabytes": [1.0, 1.0]}
    runs = pd.DataFrame({"price": ["1", "2"], "seed": 0, **dict.fromkeys(MEASURES, 0.0)})
    return Comparison("by-hand", ("price",), runs.assign(**measured))


def designed() -> Reported:
    temptations = pd.DataFrame(
        {"seed": [3, 4], "path": "contribute", "round": 1, "participant": 2, "kind": "malicious",
         "action": "backdoor", "benefit": [2.0, 3.0], "confiscated": 1.0, "convicted": 0.5}
    )  # fmt: skip
    line = pd.DataFrame({"fine": [0.0, 10.0], "rate": [1.0, 0.5], "low": 0.4, "high": 0.9})
    settings = pd.DataFrame([{"setting": "scenario", "rate": 0.5, "fine": 10.0, "cost": 7.0}])
    trials = pd.DataFrame(columns=["part", "policy", "seed", "honest", "tempted"])
    point = Deterrent(0.5, 10.0, 7.0, 1)
    scenario = fs.load_scenario("backdoor-deterrence")
    return Design("budget", "scenario", scenario, point, 7.0, settings, temptations, line, trials)


def forgetting() -> Reported:
    table = pd.DataFrame(
        {"executor": ["original", "fine-tune", "retrain"], "accuracy": [0.75, 0.7, 0.725],
         "distance": [2.0, 1.0, 0.0], "speed_up": [np.inf, 2.0, 1.0]}
    )  # fmt: skip
    return Forgetting(3, "fine-tune", table, Path("run/without-3"))


FILES: dict[Callable[[], Reported], set[str]] = {
    game: {"equilibrium.json", "payoffs.png", "best-replies.png", "learning.png",
           "deterrence.png", "report.html"},
    comparison: {"comparison.parquet", "comparison.png", "front.png"},
    designed: {"design.json", "frontier.png", "temptations.png", "report.html",
               *(f"{name}.parquet" for name in ("temptations", "frontier", "trials", "settings"))},
    forgetting: {"forgetting.png", "report.html"},
}  # fmt: skip


@pytest.mark.parametrize("made", FILES, ids=lambda made: made.__name__)
def test_what_is_kept(made: Callable[[], Reported], tmp_path: Path) -> None:
    result = made()
    result.save(tmp_path / "kept")
    assert {path.name for path in (tmp_path / "kept").iterdir()} == FILES[made] | {WRITTEN}
    result.save(tmp_path / "kept")  # over its own files
    if result.json_name:
        assert json.loads((tmp_path / "kept" / result.json_name).read_text()) == result.summary
    for name, table in result.tables().items():
        kept = pd.read_parquet(tmp_path / "kept" / f"{name}.parquet")
        assert kept.to_dict("list").keys() == table.to_dict("list").keys()
        assert len(kept) == len(table)
    pictures = [name for name in FILES[made] if name.endswith(".png")]
    page = result.report(tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    for name in pictures:
        assert result.plot(name.removesuffix(".png")).axes
    with pytest.raises(fs.UserError, match="unknown figure 'pie'; expected one of: "):
        result.plot("pie")
    assert len(result.to_frame())
    assert len(repr(result).splitlines()) < 6


def test_nothing_is_written_over_that_no_study_wrote(tmp_path: Path) -> None:
    for name in ("forgetting.png", "report.html"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(fs.UserError, match=f"holds '{name}', which no study wrote"):
            forgetting().save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(fs.UserError, match="which no study wrote"):
        Forgetting.check_room(tmp_path)
    Forgetting.check_room(tmp_path / "none")


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(fs.UserError, match=r"--out .*file: can't be written: File exists"):
        forgetting().save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_solved_game_is_the_same_whenever_it_is_asked() -> None:
    one, two = game(), game()
    assert json.dumps(one.summary) == json.dumps(two.summary) == json.dumps(one.summary)
    assert one.summary["replicates"] == 2
    gains = one.summary["exploitability"][0]
    # t(0.975, 1) = 12.7062 standard errors of 2.
    assert (gains["attack"], gains["gain"], gains["low"]) == ("backdoor", 4, 0)
    assert gains["high"] == pytest.approx(4 + 12.7062 * 2, rel=1e-5)
    assert isinstance(one, AttackGame)
    assert one.exploited_rows()[0]["gains over contributing"] == "4.00 (0.00 to 29.41)"


def test_seeds_of_single_profiles_are_not_those_of_all() -> None:
    whole = game()
    assert isinstance(whole, AttackGame)
    more = whole.cells.iloc[:1].assign(seed=9)
    grown = AttackGame(whole.scenario, pd.concat([whole.cells, more], ignore_index=True), 1)
    assert grown.seeds == whole.seeds == (4, 5)
    assert grown.empirical.counts.max() == 3


def test_a_designs_words() -> None:
    made = designed()
    assert made.lines()[0].startswith("backdoor-deterrence, least budget: audit rate 0.500")
    assert "participant 2 (malicious, seed 4): backdoor in round 1" in made.lines()[1]
    # 0.5 (1 + 10 x 0.5) over the mean benefit of 2.5.
    assert made.summary["ratios"][0]["ratio"] == pytest.approx(3 / 2.5)
    # The third of three seeds needs the most as often as each of the others.
    assert made.summary["new_seed"] == pytest.approx(1 / 3)
    assert "with a chance of 33%" in made.lines()[2]
