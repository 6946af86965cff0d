"""The statistics of data, each against a slow and obvious second implementation."""

import itertools

import numpy as np
import pytest

from netwright.doctor.data.assignment import best_assignment
from netwright.doctor.data.components import principal
from netwright.doctor.data.neighbours import against_chance, agreement, nearest, votes
from netwright.doctor.data.separation import area_under_curve, linear_score, separation


@pytest.fixture
def draws():
    return np.random.default_rng(7)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_assignment_is_the_best_of_all_permutations(draws, size):
    for _ in range(20):
        gain = draws.integers(0, 9, (size, size)).astype(float)
        found = best_assignment(gain)
        best = max(
            sum(gain[row, column] for row, column in enumerate(order))
            for order in itertools.permutations(range(size))
        )
        assert sorted(found) == list(range(size))
        assert sum(gain[row, column] for row, column in enumerate(found)) == best


def test_a_table_of_a_hundred_classes_is_assigned_back(draws):
    order = draws.permutation(100)
    gain = draws.random((100, 100))
    gain[np.arange(100), order] += 5
    assert best_assignment(gain) == tuple(order)


def test_neighbours_are_those_of_a_full_sort(draws):
    queries, among = draws.normal(size=(700, 5)), draws.normal(size=(300, 5))
    found = nearest(queries, among, 4)
    gaps = np.sqrt(((queries[:, None] - among[None]) ** 2).sum(2))
    assert (found.index == np.argsort(gaps, axis=1)[:, :4]).all()
    assert found.distance == pytest.approx(np.sort(gaps, axis=1)[:, :4])


def test_a_sample_is_not_its_own_neighbour_but_its_copy_is(draws):
    rows = draws.normal(size=(10, 3)) * 1e3
    rows[7] = rows[2]
    found = nearest(rows, rows, 1, itself=True)
    assert (found.index[7, 0], found.index[2, 0], found.distance[7, 0]) == (2, 7, 0)
    assert (found.index[:, 0] != np.arange(10)).all()


def test_votes_and_agreement_by_hand():
    labels = np.array([0, 0, 1])
    neighbours = np.array([[1, 2], [0, 2], [0, 1]])
    assert votes(labels, neighbours, 2).tolist() == [[1, 1], [1, 1], [2, 0]]
    assert agreement(labels, neighbours) == pytest.approx(2 / 6)


def test_labels_that_follow_the_samples_are_far_from_chance(draws):
    rows = draws.normal(size=(300, 4))
    found = nearest(rows, rows, 5, itself=True).index
    _, chance, z = against_chance((rows[:, 0] > 0).astype(int), found)
    assert z > 10
    assert chance == pytest.approx(0.5, abs=0.05)
    assert abs(against_chance(draws.integers(0, 2, 300), found)[2]) < 3


def test_components_are_those_of_the_singular_value_decomposition(draws):
    rows = draws.normal(size=(60, 6)) * np.array([5, 4, 3, 2, 1, 0.5])
    found = principal(rows, 3)
    expected = np.linalg.svd(rows - rows.mean(0))[2][:3]
    assert np.abs(found.directions.T @ expected.T).round(6).tolist() == np.eye(3).tolist()
    assert found.of(rows).mean(0) == pytest.approx(0, abs=1e-9)


def test_the_area_is_the_share_of_ordered_pairs(draws):
    lower, upper = draws.integers(0, 6, 40).astype(float), draws.integers(2, 9, 30).astype(float)
    pairs = [(a < b) + 0.5 * (a == b) for a in lower for b in upper]
    assert area_under_curve(lower, upper) == pytest.approx(np.mean(pairs))


def test_two_halves_of_one_set_cannot_be_told_apart_and_a_shifted_one_can(draws):
    rows = draws.normal(size=(800, 20))
    assert separation(rows[:400], rows[400:]) == pytest.approx(0.5, abs=0.08)
    assert separation(rows[:400], rows[400:] + np.eye(20)[3] * 4) > 0.95


def test_a_linear_score_is_that_of_least_squares_and_feels_a_shift(draws):
    rows = draws.normal(size=(300, 5))
    labels = (rows[:, 0] + rows[:, 1] > 0).astype(int)
    plain = np.linalg.lstsq(np.column_stack((rows, np.ones(300))), 2.0 * labels - 1, rcond=None)[0]
    expected = ((np.column_stack((rows, np.ones(300))) @ plain > 0) == labels).mean()
    assert linear_score(rows, labels, rows, labels) == pytest.approx(expected, abs=0.02)
    assert linear_score(rows, labels, rows + 3, labels) < 0.7
