"""Coalition games: bitmask order, caching, and input that is wrong."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values


def test_bit_i_of_the_index_is_player_i() -> None:
    game = CoalitionGame.from_table([0, 1, 2, 3, 4, 5, 6, 7])
    assert game.players == 3
    assert game.value() == 0
    assert game.value(0) == 1
    assert game.value(2) == 4
    assert game.value(0, 2) == game.value(2, 0, 2) == 5
    assert game.grand == 7


def test_dict_leaves_the_rest_at_zero() -> None:
    game = CoalitionGame.from_dict(2, {(1,): 3.0, (0, 1): 5.0})
    assert game.table().tolist() == [0, 0, 3, 5]


@pytest.mark.parametrize("players", [5, 30])
def test_every_coalition_is_valued_at_most_once(players: int) -> None:
    asked: list[int] = []

    def function(masks: Masks) -> Values:
        asked.extend(masks.tolist())
        return masks.astype(float)

    game = CoalitionGame(players, function)
    assert game.values([[1, 2], [2, 1]]).tolist() == [[1, 2], [2, 1]]
    assert game.values([3, 1]).tolist() == [3, 1]
    assert game.value(0, 1) == 3
    assert sorted(asked) == [1, 2, 3]
    assert game.evaluations == 3


def test_table_values_only_what_is_missing() -> None:
    asked: list[int] = []

    def function(masks: Masks) -> Values:
        asked.extend(masks.tolist())
        return masks.astype(float) * 2

    game = CoalitionGame(3, function)
    game.values([5, 6])
    assert game.table().tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sorted(asked) == list(range(8))
    assert game.evaluations == 8


def test_the_game_keeps_its_own_copy() -> None:
    source = np.arange(4.0)
    game = CoalitionGame.from_table(source)
    source[:] = -1
    assert game.table().tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        game.table()[0] = 9


@given(st.integers(1, 6), st.data())
def test_values_equal_the_table_in_any_shape(players: int, data: st.DataObject) -> None:
    table = np.array(data.draw(st.lists(st.floats(-1e6, 1e6), min_size=64, max_size=64)))
    game = CoalitionGame.from_table(table[: 1 << players])
    masks = np.array(data.draw(st.lists(st.integers(0, (1 << players) - 1), max_size=12)), int)
    assert np.array_equal(game.values(masks), table[masks])


def test_a_table_game_survives_pickling() -> None:
    game = pickle.loads(pickle.dumps(CoalitionGame.from_table([0.0, 1.0, 1.0, 4.0])))
    assert game.value(0, 1) == 4


def test_sixty_two_players_have_bitmasks_of_their_own() -> None:
    game = CoalitionGame(62, lambda masks: np.bitwise_count(masks).astype(float))
    assert game.value(61) == 1
    assert game.values(game.grand) == 62
    with pytest.raises(UserError, match="too large"):
        game.table()


@pytest.mark.parametrize(
    "table", [[], [1.0], [0, 1, 2], [[0, 1], [2, 3]], [0, np.nan], [0, np.inf], 3.0]
)
def test_bad_tables_are_refused(table: object) -> None:
    with pytest.raises(UserError, match="game table"):
        CoalitionGame.from_table(np.array(table))


@pytest.mark.parametrize("players", [0, -1, 63])
def test_bad_numbers_of_players_are_refused(players: int) -> None:
    with pytest.raises(UserError, match="players, got"):
        CoalitionGame(players, lambda masks: np.zeros(masks.size))
    with pytest.raises(UserError, match="players, got"):
        CoalitionGame.from_dict(players, {})


@pytest.mark.parametrize("coalition", [(3,), (-1,), (0, 7)])
def test_players_outside_the_game_are_refused(coalition: tuple[int, ...]) -> None:
    game = CoalitionGame.from_table(np.zeros(8))
    with pytest.raises(UserError, match="outside the game of 3 players"):
        game.value(*coalition)
    with pytest.raises(UserError, match="outside the game of 3 players"):
        CoalitionGame.from_dict(3, {coalition: 1.0})


def test_a_coalition_listed_twice_is_refused() -> None:
    with pytest.raises(UserError, match="twice"):
        CoalitionGame.from_dict(2, {(0, 1): 1.0, (1, 0): 2.0})


@pytest.mark.parametrize("masks", [[8], [-1], [0.5], [2**63]])
def test_bad_masks_are_refused(masks: list[float]) -> None:
    with pytest.raises(UserError, match="coalition"):
        CoalitionGame.from_table(np.zeros(8)).values(masks)


@pytest.mark.parametrize("result", [np.nan, np.inf, [0.0, 0.0]])
def test_bad_characteristic_functions_are_refused(result: float | list[float]) -> None:
    game = CoalitionGame(2, lambda masks: np.resize(np.asarray(result, float), np.size(result)))
    with pytest.raises(UserError, match="one finite value per coalition"):
        game.values([1])
    assert game.evaluations == 0


def test_a_function_of_sets_is_called_once_per_coalition() -> None:
    asked: list[frozenset[int]] = []

    def worth(members: frozenset[int]) -> float:
        asked.append(members)
        return float(sum(members))

    game = CoalitionGame.from_function(4, worth)
    assert game.value(1, 3) == 4
    assert game.value(3, 1) == 4
    assert asked == [frozenset({1, 3})]


@pytest.mark.parametrize("players", [3, 40])
def test_saved_values_are_not_computed_again(players: int, tmp_path: Path) -> None:
    path = tmp_path / "game.parquet"
    first = CoalitionGame(players, lambda masks: np.sqrt(masks))
    masks = np.array([0, 5, 3, (1 << players) - 1])
    expected = first.values(masks)
    first.save(path, "digits, seed 1")

    def never(masks: object) -> Values:
        raise AssertionError(masks)

    second = CoalitionGame(players, never)
    assert second.restore(path, "digits, seed 1") == 4
    assert second.values(masks).tolist() == expected.tolist()
    assert second.evaluations == 4
    assert second.restore(path, "digits, seed 1") == 4
    assert second.evaluations == 4
    assert [file.name for file in tmp_path.iterdir()] == ["game.parquet"]


def test_values_of_another_game_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "game.parquet"
    game = CoalitionGame.from_table([0.0, 1, 2, 3])
    game.table()
    game.save(path, "a")
    for other, fingerprint in ((game, "b"), (CoalitionGame.from_table(np.zeros(8)), "a")):
        with pytest.raises(UserError, match="of another game"):
            other.restore(path, fingerprint)
    with pytest.raises(UserError, match="no coalition values can be read"):
        game.restore(tmp_path / "missing.parquet")
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match="no coalition values can be read"):
        game.restore(path, "a")


def test_hostile_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "game.parquet"
    for masks, values in (([0, 9], [0.0, 1.0]), ([0, 1], [0.0, np.nan]), ([1, 1], [0.0, 1.0])):
        table = pa.table({"coalition": masks, "value": values})
        pq.write_table(table.replace_schema_metadata({"players": "2", "fingerprint": ""}), path)
        with pytest.raises(UserError, match="not finite, or a coalition is not of the game"):
            CoalitionGame.from_table(np.zeros(4)).restore(path)
