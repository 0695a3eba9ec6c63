"""Keys as files, signatures (RFC 8032), and p-values with known values."""

from __future__ import annotations

import json
import stat
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.security.watermarks.key import Key, layout_digest
from fedfm_sim.security.watermarks.signed import (
    check_signature,
    private_key,
    read_private_key,
    signed_key,
)
from fedfm_sim.security.watermarks.verification import (
    Trace,
    answers_claim,
    claim,
    intersection,
    similarity_scores,
)

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_a_key_is_its_secret_alone() -> None:
    key = Key(owner="a", secret="ab" * 32)
    other = Key(owner="b", secret="ab" * 32, base="x")
    assert np.array_equal(key.generator("x").random(4), other.generator("x").random(4))
    assert not np.array_equal(key.generator("x").random(4), key.generator("y").random(4))
    assert key.derive("round", 1).secret != key.derive("round", 2).secret != key.secret
    assert Key.create("a").secret != Key.create("a").secret
    assert "ab" * 32 not in repr(key)


def test_a_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.json"
    key = Key.create("a", bits=32, base="m")
    key.save(path)
    assert Key.load(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UserError, match="keys are not replaced"):
        Key.create("b").save(path)
    assert Key.load(path) == key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no watermark key"),
        ('{"owner": "a"}', "secret: Field required"),
        ('{"owner": "a", "secret": "00"}', "secret"),
        (json.dumps({"owner": "a", "secret": "0" * 64, "bits": 0}), "bits"),
        (json.dumps({"owner": "a", "secret": "0" * 64, "more": 1}), "more"),
    ],
)
def test_what_is_no_key_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        Key.load(path)
    with pytest.raises(UserError, match="can't be read"):
        Key.load(tmp_path / "missing.json")


def test_a_key_is_for_its_model(small_layout: AdapterLayout, layout: AdapterLayout) -> None:
    key = Key.create("a", base="digits-vit", layout=layout_digest(layout))
    key.check("digits-vit", layout)
    with pytest.raises(UserError, match="for the base model 'digits-vit'"):
        key.check("notes-llama", layout)
    with pytest.raises(UserError, match="other modules"):
        key.check("digits-vit", small_layout)


def test_signatures() -> None:
    key = signed_key("alice", private_key(SEED), 64, "m", "l")
    assert key.public_key == PUBLIC
    assert signed_key("alice", private_key(SEED), 64, "m", "l") == key  # nonces are fixed
    check_signature(key)
    check_signature(key, PUBLIC)
    other = signed_key("alice", private_key(), 64, "m", "l")
    with pytest.raises(UserError, match="not registered"):
        check_signature(other, PUBLIC)
    for change in ({"secret": other.secret}, {"public_key": other.public_key}):
        with pytest.raises(UserError, match="not valid"):
            check_signature(key.model_copy(update=change))
    for field, value in (("owner", "mallory"), ("bits", 8), ("base", "n"), ("layout", "k")):
        with pytest.raises(UserError, match="not for what its statement says"):
            check_signature(key.model_copy(update={field: value}))
    with pytest.raises(UserError, match="not signed"):
        check_signature(Key.create("alice"))
    with pytest.raises(UserError, match="32 bytes"):
        private_key(b"short")


def test_a_private_key_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("nonsense")
    with pytest.raises(UserError, match="no unencrypted Ed25519"):
        read_private_key(path)
    with pytest.raises(UserError, match="can't be read"):
        read_private_key(tmp_path / "missing.pem")


def test_claims_by_hand() -> None:
    assert claim("a", 64, 64).p_value == pytest.approx(2.0**-64)
    assert claim("a", 32, 64).p_value == pytest.approx(0.5 + 0.5 * binom.pmf(32, 64, 0.5))
    assert claim("a", 0, 64).p_value == 1
    assert claim("a", 20, 20, 0.1).p_value == pytest.approx(1e-20)
    assert claim("a", 64, 64, claimants=10).p_value == pytest.approx(10 * 2.0**-64)
    # P(Binom(64, 1/2) >= 51) = 9.3e-7, which Bonferroni over two no longer lets stand.
    assert claim("a", 51, 64).stands
    assert not claim("a", 50, 64).stands
    assert not claim("a", 51, 64, claimants=2).stands


@given(st.integers(1, 100), st.integers(0, 100), st.floats(0.01, 0.99), st.integers(1, 50))
def test_a_claim_never_stands_by_fewer_hits(
    trials: int, hits: int, chance: float, claimants: int
) -> None:
    hits = min(hits, trials)
    values = [claim("", h, trials, chance, claimants).p_value for h in range(hits + 1)]
    assert all(0 <= b <= a <= 1 for a, b in pairwise(values))


@st.composite
def answered(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Return what a model tells of some triggers, their blocks, and the number of answers."""
    classes = draw(st.integers(1, 3))
    blocks = draw(st.lists(st.integers(0, 3), min_size=1, max_size=7))
    told = draw(st.lists(st.integers(0, 3), min_size=len(blocks), max_size=len(blocks)))
    return told, blocks, classes


@given(answered())
def test_secret_answers_have_exact_p_values(case: tuple[list[int], list[int], int]) -> None:
    """Over all answers that a key could have drawn, as the slow way counts them."""
    told, blocks, classes = np.array(case[0]), np.array(case[1]), case[2]
    names, at = np.unique(blocks, return_inverse=True)
    draws = [np.array(answers)[at] for answers in product(range(classes), repeat=len(names))]
    all_hits = np.array([(told == answers).sum() for answers in draws])
    values = np.array(
        [answers_claim("", told, answers, classes, blocks).p_value for answers in draws]
    )
    expected = (all_hits[None, :] >= all_hits[:, None]).mean(1)
    np.testing.assert_allclose(values, expected, atol=1e-12)
    for level in (0.001, 0.01, 0.05, *values):
        assert (values <= level + 1e-12).mean() <= level + 1e-12


@given(st.integers(1, 40), st.integers(2, 50), st.integers(1, 5), st.data())
def test_answers_drawn_one_by_one_are_binomial(
    trials: int, classes: int, claimants: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, trials))
    told = np.array([0] * hits + [1] * (trials - hits))
    found = answers_claim("", told, np.zeros(trials, dtype=np.int64), classes, None, claimants)
    same = claim("", hits, trials, 1 / classes, claimants)
    assert found.p_value == pytest.approx(same.p_value, rel=1e-9)
    assert (found.hits, found.trials) == (hits, trials)


def test_a_model_that_tells_one_answer_proves_nothing() -> None:
    """The fault of blocks: with an answer for each class, 30 triggers of 10 patterns hit 3."""
    told, blocks = np.zeros(30, dtype=np.int64), np.arange(30) % 10
    answers = np.array([0, 0, 0, *range(1, 8)])[blocks]  # three patterns of the same answer
    found = answers_claim("", told, answers, 10, blocks)
    assert found.hits == 9
    assert found.p_value == pytest.approx(binom.sf(2, 10, 0.1))
    assert found.p_value > 5 * binom.sf(8, 30, 0.1)  # what counting triggers would say


def test_impossible_answers() -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(UserError, match="no claim from 0 triggers"):
        answers_claim("a", none, none, 10)
    with pytest.raises(UserError, match="of one block have one answer"):
        answers_claim("a", np.arange(2), np.arange(2), 10, np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize("bad", [(-1, 4), (5, 4), (0, 0)])
def test_impossible_claims(bad: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="no claim from"):
        claim("a", *bad)


def test_similarity_and_traces_by_hand() -> None:
    signs = np.array([[1.0, -1.0], [1.0, 1.0]])
    found = np.array([[4.0, -1.0], [-9.0, 1.0]])
    scores = similarity_scores(found, signs, np.array([2.0, 2.0]))
    assert scores.tolist() == [(1 + 0.5) / 2, (-1 + 0.5) / 2]
    guilty = Trace((claim("a", 60, 64), claim("b", 30, 64)), np.array([0.9, 0.1]))
    assert (guilty.suspect, guilty.accused) == (0, 0)
    nobody = Trace((claim("a", 40, 64), claim("b", 30, 64)), np.array([0.3, 0.1]))
    assert (nobody.suspect, nobody.accused) == (0, None)
    assert intersection([frozenset({1, 2, 3}), frozenset({2, 3}), frozenset({3, 4})]) == {3}
    assert intersection([]) == frozenset()
