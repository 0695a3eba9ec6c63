"""The probes of an audit, one class for each property that a mechanism may have.

- `outcomes`: what everybody's truth comes to.
- `misreports`: what one participant gains by a lie, and monotonicity.
- `pairs`: what two gain together. `identities`: what false ones bring.
"""

from __future__ import annotations

from fedfm_sim.mechanisms.auditing.probes.identities import DataDuplication, FreeRiding, SybilAttack
from fedfm_sim.mechanisms.auditing.probes.misreports import (
    IncentiveCompatibility,
    MonotonePay,
    MonotoneSelection,
    Overdeclaring,
    Withholding,
)
from fedfm_sim.mechanisms.auditing.probes.outcomes import (
    BudgetBalance,
    CoreStability,
    CostEfficiency,
    IndividualRationality,
    WelfareEfficiency,
)
from fedfm_sim.mechanisms.auditing.probes.pairs import PairCollusion
from fedfm_sim.mechanisms.auditing.probes.probe import Probe

#: The probes by the property that each looks for violations of.
PROBES: dict[str, Probe] = {
    probe.property: probe
    for probe in (
        IndividualRationality(),
        IncentiveCompatibility(),
        Withholding(),
        Overdeclaring(),
        BudgetBalance(),
        CostEfficiency(),
        WelfareEfficiency(),
        CoreStability(),
        MonotoneSelection(),
        MonotonePay(),
        PairCollusion(),
        SybilAttack(),
        DataDuplication(),
        FreeRiding(),
    )
}
