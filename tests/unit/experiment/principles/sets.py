"""Made-up sets of distributions: small numbers, so that ties and equal floors are common."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from workers.experiment.principles.distribution import DistributionSet

incomes = st.lists(st.integers(0, 12) | st.integers(0, 60_000), min_size=5, max_size=5).map(
    lambda row: tuple(sorted(row, reverse=True))
)
rows = st.lists(incomes, min_size=1, max_size=6) | st.lists(incomes, min_size=4, max_size=4)
#: Hundredths that sum to 100.
weights = st.lists(st.integers(0, 100), min_size=4, max_size=4).map(
    lambda cuts: [high - low for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 100], strict=True)]
)


def made(given_rows: list[tuple[int, ...]], given_weights: list[int] | None) -> DistributionSet:
    probabilities = None
    if given_weights is not None:
        probabilities = tuple(Decimal(weight) / 100 for weight in given_weights)
    return DistributionSet.of("made", tuple(given_rows), probabilities)
