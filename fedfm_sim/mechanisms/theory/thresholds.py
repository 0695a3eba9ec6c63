"""Thresholds: the least audits, fines and patience that keep participants honest.

References
----------
.. [1] G. S. Becker, "Crime and punishment: an economic approach", Journal of
   Political Economy 76(2), 1968, pp. 169-217.
.. [2] C. Shapiro and J. Stiglitz, "Equilibrium unemployment as a worker discipline
   device", American Economic Review 74(3), 1984, pp. 433-444.
.. [3] G. Mailath and L. Samuelson, "Repeated Games and Reputations", Oxford
   University Press, 2006, chapter 2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite, nextafter

from scipy.optimize import brentq

from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.sanctions import check_probability


def expected_fine(
    audit_rate: float, fine: float, detection: float, *, false_alarm: float = 0.0
) -> float:
    """Return what cheating adds to the fines one must expect, money per round.

    ``p (d - f) F``: a cheater pays F with probability ``p d``, and an honest
    participant with probability ``p f``.

    Parameters
    ----------
    audit_rate : float
        Probability p of an audit.
    fine : float
        Fine F, money.
    detection : float
        Probability d that an audit finds a violation where there is one.
    false_alarm : float
        Probability f that it finds one where there is none.

    Returns
    -------
    float
        Negative when an audit accuses the honest more often than cheaters.

    Raises
    ------
    UserError
        When a probability is outside [0, 1] or the fine is negative.
    """
    check_probability("audit rate", audit_rate)
    _check(fine, detection, false_alarm)
    return audit_rate * (detection - false_alarm) * fine


def deterrence_rate(
    gain: float,
    fine: float,
    detection: float,
    *,
    confiscate: bool = True,
    false_alarm: float = 0.0,
) -> float:
    """Return the least audit probability at which cheating does not pay.

    A risk-neutral participant compares honesty with cheating for ``gain``. With
    audits of probability p, detection d and false alarms f, honesty expects
    ``-p f F`` from sanctions, and cheating

    - with ``confiscate``, where a caught cheater loses the gain as well:
      ``(1 - p d) g - p d F``, so that deterrence needs
      ``p >= g / (d (F + g) - f F)``;
    - without, where it keeps the gain and pays the fine: ``g - p d F``, so that
      deterrence needs ``p >= g / ((d - f) F)``.

    With ``f = 0`` these are ``g / (d (F + g))`` and ``g / (d F)`` [1]_.

    Parameters
    ----------
    gain : float
        Money that undetected cheating earns over honesty.
    fine : float
        Money that a caught cheater pays, a forfeited deposit included.
    detection : float
        Probability d that an audit finds a violation where there is one.
    confiscate : bool
        Whether a caught cheater loses the gain besides the fine, as when the
        payment for faked work is withheld.
    false_alarm : float
        Probability f that an audit finds a violation where there is none.

    Returns
    -------
    float
        In [0, 1]; 0 when there is nothing to gain, and infinity when not even
        auditing everyone deters, so that a larger fine is needed.

    Raises
    ------
    UserError
        When a probability is outside [0, 1], the fine is negative, or the gain
        is not a number.
    """
    _check(fine, detection, false_alarm)
    if not isfinite(gain):
        raise UserError(f"the gain must be finite, got {gain}")
    if gain <= 0:
        return 0.0
    loss = (detection - false_alarm) * fine + (detection * gain if confiscate else 0.0)
    return gain / loss if loss >= gain else inf


def deterring_fine(
    gain: float,
    audit_rate: float,
    detection: float,
    *,
    confiscate: bool = True,
    false_alarm: float = 0.0,
) -> float:
    """Return the least fine at which cheating does not pay, money.

    The other side of `deterrence_rate`. With ``confiscate``,
    ``g (1 - p d) <= p (d - f) F``, so ``F >= g (1 - p d) / (p (d - f))``; without,
    ``F >= g / (p (d - f))``. It can only be collected from who can pay: a deposit of
    that size secures it, and a smaller one deters no more than a fine of its size.

    Parameters
    ----------
    gain : float
        Money that undetected cheating earns over honesty.
    audit_rate, detection, confiscate, false_alarm
        As for `deterrence_rate`.

    Returns
    -------
    float
        0 when there is nothing to gain; infinity when audits never tell cheaters
        from the honest.

    Raises
    ------
    UserError
        When a probability is outside [0, 1] or the gain is not a number.
    """
    check_probability("audit rate", audit_rate)
    _check(0.0, detection, false_alarm)
    if not isfinite(gain):
        raise UserError(f"the gain must be finite, got {gain}")
    kept = gain * (1 - audit_rate * detection) if confiscate else gain
    if kept <= 0:
        return 0.0
    power = audit_rate * (detection - false_alarm)
    return kept / power if power > 0 else inf


def exclusion_deters(
    gain: float,
    honest_profit: float,
    audit_rate: float,
    detection: float,
    discount: float,
    *,
    fine: float = 0.0,
    strikes: int = 1,
    false_alarm: float = 0.0,
) -> bool:
    """Return whether losing one's place keeps a cheater honest in the long run [2]_ [3]_.

    Rounds repeat without end, and a later one counts ``D`` as much as the one
    before. A round earns ``h`` honestly and ``h + g`` by cheating; a conviction, of
    which the honest run the risk ``a = p f`` and cheaters ``q = p d``, loses that and
    costs the fine, and after ``m`` convictions one is out for good. Honest play expects
    ``r = (1 - a) h - a F`` now, and with j convictions left, the next one would cost
    ``dV_j = b**(j - 1) r / (1 - D (1 - a))`` of the future, for
    ``b = D a / (1 - D (1 - a))``. By the principle of one deviation, honesty is an
    equilibrium when at every j cheating once gains no more than that:
    ``(1 - q) (h + g) - q F - r <= D (q - a) dV_j``.

    Parameters
    ----------
    gain : float
        Money per round that undetected cheating earns over honesty.
    honest_profit : float
        Money h per round that an honest participant keeps, at least 0.
    audit_rate, detection, false_alarm : float
        Probabilities p, d and f.
    discount : float
        D, in [0, 1).
    fine : float
        Money per conviction.
    strikes : int
        Convictions m until exclusion, at least 1.

    Raises
    ------
    UserError
        When a parameter is out of its range.

    Notes
    -----
    Without false alarms, only the last strike threatens: an honest participant loses
    nothing by an earlier one, so from two strikes on exclusion adds nothing to the fine.
    """
    if not 0 <= discount < 1:
        raise UserError(f"exclusion needs a discount in [0, 1), got {discount}")
    tempts, deters = _exclusion(
        gain, honest_profit, audit_rate, detection, fine, strikes, false_alarm
    )
    return tempts <= deters(discount)


def deterring_discount(
    gain: float,
    honest_profit: float,
    audit_rate: float,
    detection: float,
    *,
    fine: float = 0.0,
    strikes: int = 1,
    false_alarm: float = 0.0,
) -> float:
    """Return the least discount factor at which exclusion keeps participants honest.

    Where honesty pays and cheaters are convicted more often, what exclusion threatens
    grows with patience, so there is one threshold. With one strike it is
    ``t / (t (1 - a) + (q - a) r)``, where t is what cheating once gains (see
    `exclusion_deters` for the rest); with more it is searched for.

    Parameters
    ----------
    gain, honest_profit, audit_rate, detection, fine, strikes, false_alarm
        As for `exclusion_deters`.

    Returns
    -------
    float
        In [0, 1); 0 when cheating does not pay in a single round, and infinity when
        no patience is enough.

    Raises
    ------
    UserError
        When a parameter is out of its range.
    """
    tempts, deters = _exclusion(
        gain, honest_profit, audit_rate, detection, fine, strikes, false_alarm
    )
    if tempts <= 0:
        return 0.0
    most = nextafter(1.0, 0.0)
    if deters(most) < tempts:
        return inf
    return float(brentq(lambda discount: deters(discount) - tempts, 0.0, most, xtol=1e-14))


def _exclusion(
    gain: float,
    honest_profit: float,
    audit_rate: float,
    detection: float,
    fine: float,
    strikes: int,
    false_alarm: float,
) -> tuple[float, Callable[[float], float]]:
    """Return what cheating once gains, and what it loses by discount factor, money."""
    check_probability("audit rate", audit_rate)
    _check(fine, detection, false_alarm)
    if not (strikes >= 1 and isfinite(gain) and isfinite(honest_profit) and honest_profit >= 0):
        raise UserError("exclusion needs a finite gain, a profit of at least 0 and strikes >= 1")
    caught, accused = audit_rate * detection, audit_rate * false_alarm
    honest = (1 - accused) * honest_profit - accused * fine
    cheating = (1 - caught) * (honest_profit + gain) - caught * fine

    def deters(discount: float) -> float:
        lasting = 1 - discount * (1 - accused)
        last = discount * (caught - accused) * honest / lasting
        # Between the last strike and the first it rises or falls all the way.
        return min(last, last * (discount * accused / lasting) ** (strikes - 1))

    return cheating - honest, deters


def _check(fine: float, detection: float, false_alarm: float) -> None:
    check_probability("detection", detection)
    check_probability("false alarm", false_alarm)
    if not (isfinite(fine) and fine >= 0):
        raise UserError(f"the fine must be finite and at least 0, got {fine}")
