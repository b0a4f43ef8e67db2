"""Search in growing tables; quantiles themselves are tested with the samplers that draw from them."""

from __future__ import annotations

import numpy as np
import pytest

from fastparam.shapes.quantile_table import first_entry1


@pytest.mark.parametrize("value", [0.0, 0.1, 0.2, 0.4, 0.5, 0.9, 1.5])
def test_the_first_entry_that_is_at_least_a_value_is_that_of_a_sorted_search_and_never_beyond_the_last(
    value: float,
) -> None:
    table = np.array([0.1, 0.4, 0.4, 0.9])
    assert first_entry1(table, value) == min(np.searchsorted(table, value), len(table) - 1)
