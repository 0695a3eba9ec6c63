"""The privacy that a run states as spent is what its participants really spent."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import dp_accounting as dp
import numpy as np
import pandas as pd
import pytest
from dp_accounting.pld import PLDAccountant

import fedfm_sim as fs
from fedfm_sim.agents.actions import ACTIONS
from fedfm_sim.learning.aggregation import AggregationRule, FedAvg
from fedfm_sim.learning.trainer import TrainingSettings, batch_plan, sampling_rate
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.security.defences.secure_sum import SecureSum
from fedfm_sim.security.defences.trimmed_mean import Median
from fedfm_sim.security.privacy.accounting import epsilon, largest_epsilon
from fedfm_sim.security.privacy.protection import GaussianMechanism, Protection
from fedfm_sim.simulation.play import Play
from fedfm_sim.simulation.privacy_budget import privacy_spent, released
from fedfm_sim.simulation.setting import Setting

ATTACKS = {name: own for name, action in ACTIONS.items() if (own := attack_of(action))}
PRIVATE = TrainingSettings(example_clip=1.0, example_noise=1.0)
TEN = GaussianMechanism(participants=10)


def setting(
    training: TrainingSettings | None = None,
    protection: Protection | None = None,
    defence: AggregationRule | None = None,
) -> Setting:
    own = SimpleNamespace(
        scenario=SimpleNamespace(
            action_table=ACTIONS, training=training or TrainingSettings(epochs=1)
        ),
        federation=SimpleNamespace(settings=training or TrainingSettings()),
        protection=protection or Protection(),
        defence=defence or FedAvg(),
        attacks=ATTACKS,
    )
    return cast(Setting, own)


def table(rows: list[tuple[int, int, float, float]], action: str = "contribute") -> pd.DataFrame:
    columns = ["round", "participant", "examples_sent", "noisy_uploads"]
    return pd.DataFrame(rows, columns=columns).assign(action=action)


def spent(own: Setting, rows: pd.DataFrame) -> dict[str, Any]:
    stated = privacy_spent(own, rows)
    assert stated is not None
    return stated


def rounds_of(sizes: list[int], rounds: int, times: float = np.nan) -> pd.DataFrame:
    each = enumerate(sizes)
    return table([(r + 1, k, size, times) for k, size in each for r in range(rounds)])


@pytest.mark.parametrize(
    ("sizes", "rounds", "expected", "worst"),
    [
        ([16, 17, 16], 5, 26.877, 1),  # one more example, and twice as many steps
        ([64, 65], 5, None, 1),
        ([16, 16], 5, 17.857, 0),
        ([80, 79, 40], 10, 22.716, 2),  # who gives half is in more of its batches
        ([80, 79, 79], 10, 14.717, 1),
        ([0, 16], 5, 17.857, 1),
        ([80], 0, 0.0, None),
    ],
)
def test_who_spends_most_by_dp_sgd_is_not_who_has_least(
    sizes: list[int], rounds: int, expected: float | None, worst: int | None
) -> None:
    stated = spent(setting(PRIVATE), rounds_of(sizes, rounds))
    assert stated["participant"] == worst
    if expected is not None:
        assert stated["epsilon"] == pytest.approx(expected, rel=1e-3)
    assert stated["adjacency"] == "add or remove one example"
    assert any("Poisson sampling" in line for line in stated["assumes"])
    assert stated["also"] is None


@pytest.mark.parametrize(
    ("noisy", "expected"), [(10, 17.86), (9, 19.13), (8, 20.68), (5, 28.37), (1, 91.82)]
)
def test_only_noise_that_is_in_the_sum_protects(noisy: int, expected: float) -> None:
    rows = rounds_of([80] * noisy, 10, noisy)
    stated = spent(setting(protection=TEN), rows)
    assert stated["epsilon"] == pytest.approx(expected, abs=0.01)
    assert stated["epsilon_of_uploads"] == pytest.approx(91.82, abs=0.01)
    assert stated["adjacency"] == "add or remove one participant"
    assert any("trusted" in line for line in stated["assumes"])


def test_who_takes_part_less_spends_less_and_who_is_bare_has_no_bound() -> None:
    rows = table([(1, 0, 80, 2.0), (2, 0, 80, 1.0), (1, 1, 80, 2.0), (2, 1, 80, np.nan)])
    stated = spent(setting(protection=TEN), rows)
    assert stated["participant"] == 0
    assert stated["unprotected"] == [1]
    assert stated["spent"] == {
        "Gaussian(noise_multiplier=0.4472135954999579)": 1,
        "Gaussian(noise_multiplier=0.31622776601683794)": 1,
    }
    alone = epsilon(10**-0.5, 2, 1.0, 1e-5)
    assert stated["epsilon"] < stated["epsilon_of_uploads"] == pytest.approx(alone)


def test_a_guarantee_without_noise_is_none_and_json_knows_it() -> None:
    none = PRIVATE.model_copy(update={"example_noise": 0.0})
    assert spent(setting(none), rounds_of([16], 1))["epsilon"] is None
    mute = GaussianMechanism(noise_multiplier=0.0)
    assert spent(setting(protection=mute), rounds_of([16], 1, 3))["epsilon"] is None
    assert privacy_spent(setting(), rounds_of([16], 1)) is None
    empty = spent(setting(PRIVATE, TEN), pd.DataFrame())
    assert (empty["epsilon"], empty["participant"], empty["spent"]) == (0.0, None, {})
    assert empty["also"]["epsilon"] == 0.0


class Laplacian(Protection):
    """Somebody else's protection, of examples by Laplace noise, which does not add up."""

    unit = "example"

    def spends(self, uploads: float) -> dp.DpEvent:
        return dp.LaplaceDpEvent(2.0)


class Shuffled(TrainingSettings):
    """Somebody else's private training."""

    unit = "record"
    scheme = "all records in every step"

    def spends(self, examples: int) -> dp.DpEvent:
        return dp.SelfComposedDpEvent(dp.GaussianDpEvent(100 / examples), 2)


class Unheard(Protection):
    """A protection whose event no accountant knows."""

    def spends(self, uploads: float) -> dp.DpEvent:
        return dp.UnsupportedDpEvent()


def test_what_others_bring_has_an_epsilon_too() -> None:
    stated = spent(setting(protection=Laplacian()), rounds_of([16], 5, 4))
    # Five times 1/2 at delta 0, and hardly less at 1e-5.
    assert 2.49 < stated["epsilon"] <= 2.5
    assert stated["adjacency"] == "add or remove one example"
    stated = spent(setting(Shuffled()), rounds_of([50, 200], 3))
    assert (stated["participant"], stated["adjacency"]) == (1, "add or remove one record")
    assert stated["epsilon"] == pytest.approx(epsilon(0.5, 6, 1.0, 1e-5), rel=1e-3)
    assert stated["assumes"][0].startswith("all records in every step")
    assert spent(setting(protection=Unheard()), rounds_of([16], 1, 1))["epsilon"] is None


@pytest.mark.parametrize("seed", range(6))
def test_the_statement_is_the_largest_composition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, noise = int(rng.integers(8, 64)), float(rng.uniform(1, 4))
    private = TrainingSettings(epochs=1, batch_size=batch, example_clip=0.3, example_noise=noise)
    rows, composed = [], []
    for k in range(3):  # participants whose actions change, so that their examples do
        accountant = PLDAccountant(value_discretization_interval=2e-3)
        for n in rng.integers(1, 90, rng.integers(0, 4)).tolist():
            times = int(rng.integers(1, 4))
            rows += [(1, k, n, np.nan)] * times
            step = dp.PoissonSampledDpEvent(min(1.0, batch / n), dp.GaussianDpEvent(noise))
            accountant.compose(dp.SelfComposedDpEvent(step, int(np.ceil(n / batch))), times)
        composed.append(accountant.get_epsilon(1e-5))
    stated = spent(setting(private), table(rows))["epsilon"]
    assert max(composed) * (1 - 1e-3) <= stated <= max(composed) * 1.02


def test_the_largest_is_found_behind_coarse_bounds() -> None:
    # 2,000 steps: the first look's bound is 5 % above the truth, and would win.
    many = dp.PoissonSampledDpEvent(0.01, dp.GaussianDpEvent(1.0))
    true = epsilon(1.0, 2000, 0.01, 1e-5)
    assert true == pytest.approx(2.584, rel=2e-3)
    few = {dp.GaussianDpEvent(dp.get_sigma_gaussian(true * 1.01, 1e-5)): 1}
    worst, most = largest_epsilon([{many: 2000}, few], 1e-5)
    assert worst == 1
    assert most == pytest.approx(true * 1.01)


def test_tiny_noise_costs_no_memory() -> None:
    assert epsilon(3e-3, 6, 0.5, 1e-5) > 1e5
    assert epsilon(1e-4, 10, 1.0, 1e-5) == pytest.approx(5e8, rel=0.01)


def test_the_trainer_samples_as_is_accounted() -> None:
    # 300 plans for 17 examples: as many steps as the event says, each example in 16/17 of
    # them, whatever the others do.
    settings = TrainingSettings(epochs=2, example_clip=1.0, example_noise=1.0)
    event = settings.spends(17)
    assert isinstance(event, dp.SelfComposedDpEvent)
    rng = np.random.default_rng(0)
    plans = [batch_plan(17, settings, rng) for _ in range(300)]
    assert {len(plan) for plan in plans} == {event.count} == {4}
    drawn = np.array([[np.isin(range(17), step) for step in plan] for plan in plans])
    rate = sampling_rate(17, settings)
    assert event.event == dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(1.0))
    spread = (rate * (1 - rate) / drawn.shape[0] / 4) ** 0.5
    assert np.abs(drawn.mean((0, 1)) - rate).max() < 4 * spread
    # Independent draws: the size of a batch is binomial (of shuffled ones it is 16, 1, 16, 1).
    sizes = drawn.sum(2).ravel()
    assert sizes.var() == pytest.approx(17 * rate * (1 - rate), rel=0.2)


def played(
    actions: list[str], selected: list[int], samples: list[int], defence: AggregationRule
) -> Play:
    """Return what `released` reads of a round in which the rule weighs by samples."""
    count, taking = len(actions), np.isin(range(len(actions)), selected)
    accepted = np.flatnonzero(taking)
    gone = np.zeros(len(accepted), dtype=bool)
    gone[: int(getattr(defence, "dropout", 0) * len(accepted))] = True
    weights = np.zeros(count)
    weights[accepted[~gone]] = np.array(samples)[accepted[~gone]]
    worked = [
        n if k in selected and getattr(ATTACKS.get(a), "trains", True) else 0
        for k, (n, a) in enumerate(zip(samples, actions, strict=True))
    ]
    own = SimpleNamespace(
        setting=setting(defence=defence),
        names=actions,
        weights=weights / max(weights.sum(), 1),
        worked=np.array(worked, dtype=float),
        accepted=accepted,
        aggregate=SimpleNamespace(dropped=gone),
        allocation=SimpleNamespace(selected=taking),
    )
    return cast(Play, own)


NAN = np.nan


@pytest.mark.parametrize(
    ("actions", "selected", "samples", "defence", "times", "sent"),
    [
        # All alike.
        (["contribute"] * 4, [0, 1, 2, 3], [5] * 4, FedAvg(), [4] * 4, [5] * 4),
        # The unselected adds no noise and sends nothing.
        (["contribute"] * 4, [0, 1, 3], [5] * 4, FedAvg(), [3, 3, NAN, 3], [5, 5, 0, 5]),
        # Attackers add none, and who does not train gives nothing of its data away.
        (
            ["contribute", "label-flip", "free-ride", "contribute"],
            [0, 1, 2, 3],
            [5] * 4,
            FedAvg(),
            [2, NAN, NAN, 2],
            [5, 5, 0, 5],
        ),
        # Twice the weight is twice the sensitivity: (1 + 4) / 4 for the large one.
        (["contribute"] * 2, [0, 1], [5, 10], FedAvg(), [5, 1.25], [5, 10]),
        # Who drops out of a secure sum (here the first) is not in it, nor is its noise.
        (["contribute"] * 4, [0, 1, 2, 3], [5] * 4, SecureSum(dropout=0.25), [NAN, 3, 3, 3], None),
        # An attacker that looks at uploads sees each under its own noise alone.
        (
            ["contribute", "contribute", "inner-product"],
            [0, 1, 2],
            [5] * 3,
            SecureSum(dropout=0.4),
            [1, 1, NAN],
            [5, 5, 0],
        ),
        (["contribute", "sybil"], [0, 1], [5, 5], FedAvg(), [1, NAN], [5, 0]),
        # It has to take part to look.
        (["contribute", "contribute", "sybil"], [0, 1], [5] * 3, FedAvg(), [2, 2, NAN], None),
        # A rule that is no sum.
        (["contribute"] * 3, [0, 1, 2], [5] * 3, Median(), [1, 1, 1], [5] * 3),
    ],
)
def test_what_a_round_gives_away(
    actions: list[str],
    selected: list[int],
    samples: list[int],
    defence: AggregationRule,
    times: list[float],
    sent: list[int] | None,
) -> None:
    found = released(played(actions, selected, samples, defence))
    np.testing.assert_allclose(found["noisy_uploads"], times)
    if sent is not None:
        np.testing.assert_array_equal(found["examples_sent"], sent)


SMALL = [
    *("participants.count=4", "participants.semi_honest=0", "participants.malicious=1"),
    *("rounds=1", "training.epochs=1", "contribution.every=0", "deviations.rounds=0"),
    'action_sets.malicious=["free-ride"]',
    'policies.malicious={name="fixed", action="free-ride"}',
    'policies.honest={name="fixed", action="contribute"}',
    "data.partition=quantity",
]


def test_the_noise_in_the_model_is_the_noise_that_is_accounted() -> None:
    def run(noise: float) -> Any:
        protection = f'"gaussian-mechanism", clip=0.5, participants=3, noise_multiplier={noise}'
        return fs.run("quickstart", seed=2, overrides=[*SMALL, f"protection={{name={protection}}}"])

    clean, noisy = run(0.0), run(2.0)
    deviation = float((noisy.adapter - clean.adapter).std())
    stated = noisy.summary["privacy_spent"]
    own = noisy.participants.set_index("participant").loc[stated["participant"]]
    # The multiplier is the noise in the model over what one participant can move it by.
    ((event, once),) = stated["spent"].items()
    accounted = float(event.removeprefix("Gaussian(noise_multiplier=").rstrip(")"))
    assert deviation / (own["weight"] * 0.5) == pytest.approx(accounted, rel=0.03)
    assert once == 1
    assert own["weight"] == noisy.participants["weight"][:3].max()
    assert clean.summary["privacy_spent"]["epsilon"] is None
    told = repr(noisy)
    assert f"epsilon {stated['epsilon']:.2f} at delta 1e-05, add or remove one participant" in told
    assert "honest but curious" in told


BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "truth_privacy.py"


def truth() -> ModuleType:
    """Return the benchmark that composes what participants did on its own."""
    if not BENCHMARK.is_file():
        pytest.skip("benchmarks are not part of the source distribution")
    spec = importlib.util.spec_from_file_location("truth_privacy", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_statements_of_runs_are_composed_again() -> None:
    own = truth()
    found = own.truth_table(1, seed=1)
    assert own.true(found), found
    assert not own.true(found.assign(ratio=1.03))
    assert not own.true(found.assign(ratio=0.99))


@pytest.mark.slow  # 30 random federations
def test_statements_of_many_runs_are_composed_again() -> None:
    own = truth()
    found = own.truth_table(30, seed=2)
    assert own.true(found), found
    assert Counter(found["level"]).keys() == {"example", "participant"}
