"""The audit of a payment mechanism: every probe, on random instances of a population."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.keys import choices
from fedfm_sim.core.progress import Progress, unwatched
from fedfm_sim.core.registry import NestedError
from fedfm_sim.mechanisms.auditing.population import POPULATIONS, Population
from fedfm_sim.mechanisms.auditing.probes import PROBES
from fedfm_sim.mechanisms.auditing.probes.probe import Found, Probe
from fedfm_sim.mechanisms.auditing.report import AuditReport, Finding, draw_round
from fedfm_sim.mechanisms.auditing.rounds import Round, Traits
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.rules import MECHANISMS

#: Instances on which it is seen what a mechanism looks at.
LOOKED_AT = 20

#: Instances, the worst by the common search, in which a search goes deeper.
DEEPER = 3


def audit(
    mechanism: str | Mechanism,
    population: str | Population = "lognormal-costs",
    instances: int = 200,
    seed: int = 0,
    parameters: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress = unwatched,
    properties: Sequence[str] = tuple(PROBES),
) -> AuditReport:
    """Look for violations of every property that a payment mechanism may have.

    In each instance all participants but those who deviate are truthful, and know
    everything: a gain found is a gain after the fact, in that instance. Deviations are
    searched on grids that hold the breakpoints set by the others' asks, in the worst
    instances ever finer; so gains are lower bounds, and that none was found proves
    nothing, while one that was found can be replayed.

    Parameters
    ----------
    mechanism : str or Mechanism
        A name in `fedfm_sim.mechanisms.MECHANISMS`, or a mechanism, whose first round is
        looked at whatever it remembers.
    population : str or Population
        A name in `POPULATIONS`, or a population.
    instances : int
        How many are drawn, at least 1.
    seed : int
        The same seed gives the same report.
    parameters : mapping
        Of a mechanism that is given by name.
    progress : callable, optional
        Called with (instances done, instances), before the first and after each.
    properties : sequence of str
        Names in `PROBES` of those to look at; by default all.

    Raises
    ------
    UserError
        When a name or a parameter is unknown or out of range.

    Examples
    --------
    >>> both = ("individual rationality", "incentive compatibility")
    >>> report = audit("lowest-price", instances=5, properties=both)
    >>> [found.verdict for found in report.findings]
    ['not violated', 'violated']
    """
    if instances < 1:
        raise UserError(f"instances must be at least 1, got {instances}")
    if unknown := [each for each in properties if each not in PROBES]:
        raise UserError(f"unknown property '{unknown[0]}'{choices(unknown[0], PROBES)}")
    name, rule = _mechanism(mechanism, parameters)
    if isinstance(population, str):
        population = POPULATIONS.build({"name": population})
    traits = Traits.seen(
        draw_round(rule, population, seed, i) for i in range(min(instances, LOOKED_AT))
    )

    def play(number: int) -> Round:
        return draw_round(rule, population, seed, number, traits)

    wanted = [probe for key, probe in PROBES.items() if key in properties]
    probes = [probe for probe in wanted if not probe.excuse(rule, traits)]
    found: dict[str, list[Found]] = {probe.property: [] for probe in probes}
    progress(0, instances)
    for number in range(instances):
        round_ = play(number)
        for probe in probes:
            found[probe.property].append(probe.search(round_))
        progress(number + 1, instances)
    findings = tuple(
        _finding(probe, found[probe.property], play)
        if probe in probes
        else _excused(probe, probe.excuse(rule, traits))
        for probe in wanted
    )
    return AuditReport(name, rule, population, seed, traits, findings)


def _mechanism(given: str | Mechanism, parameters: Mapping[str, Any]) -> tuple[str, Mechanism]:
    """Return the mechanism's name, and one like it that remembers nothing."""
    if isinstance(given, str):
        MECHANISMS.check(given)
        try:
            return given, MECHANISMS.build({**parameters, "name": given})
        except NestedError as error:
            raise UserError(f"{given}: {error.line}") from error
    if parameters:
        raise UserError("parameters go with the name of a mechanism, not with a mechanism")
    return type(given).__name__, type(given).model_validate(given.model_dump())


def _finding(probe: Probe, found: list[Found], play: Callable[[int], Round]) -> Finding:
    """Search the worst instances deeper, and keep the worst of all."""
    if probe.lower_bound:
        for number in np.argsort([-each.value for each in found], kind="stable")[:DEEPER]:
            if found[number].deviation.participants:
                found[number] = probe.refine(play(int(number)), found[number])
    values = np.maximum([each.value for each in found], 0.0)
    worst = int(values.argmax())
    deviation = found[worst].deviation
    happening = probe.described(play(worst), deviation) if values[worst] > 0 else ""
    return Finding(
        probe.property,
        probe.measure,
        probe.unit,
        values,
        deviation,
        happening,
        probe.lower_bound,
    )


def _excused(probe: Probe, why: str) -> Finding:
    return Finding(probe.property, probe.measure, probe.unit, np.zeros(0), why=why)
