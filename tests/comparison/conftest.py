import pytest
from comparison_toys import ToyDetector, scaled

from fastparam.comparison.compare import compare_summaries


@pytest.fixture(scope="session")
def barrel(tmp_path_factory):
    """Three layers in a barrel, with toy showers."""
    return ToyDetector(tmp_path_factory.mktemp("barrel"))


@pytest.fixture(scope="session")
def reference(barrel):
    """300 toy showers at 4 and at 16 GeV."""
    return barrel.summary(300, seed=1)


@pytest.fixture(scope="session")
def candidate(barrel):
    """Five times as many, independent, of the same law."""
    return barrel.summary(1500, seed=2)


@pytest.fixture(scope="session")
def comparison(barrel, reference, candidate):
    """The reference against its equal and against one that is 2 % too bright."""
    bright = barrel.summary(600, seed=3, spoil=scaled(1.02))
    return compare_summaries(barrel.geometry, reference, {"equal": candidate, "bright": bright})
