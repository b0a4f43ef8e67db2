"""Every kind of generator keeps every promise, and a generator that breaks one is found out."""

from __future__ import annotations

import contract
import numba
import pytest
from contract import CASES, CONTROLS, PROMISES, assert_same, content


@pytest.fixture(scope="module", params=list(CASES))
def case(request, tmp_path_factory):
    return CASES[request.param](tmp_path_factory.mktemp("case"))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_it_keeps_its_promise(case, promise):
    promise(case)


def test_threads_change_nothing(case):
    available = numba.config.NUMBA_NUM_THREADS
    if available < 2:
        pytest.skip("one thread only")
    made = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        made.append(content(case.generator.generate(case.particles, seed=7)))
    numba.set_num_threads(available)
    assert_same(made[0], made[1], case.tolerance)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return CASES["replay"](tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize(("broken", "promise"), CONTROLS, ids=lambda one: one.__name__)
def test_a_broken_generator_is_found_out(sound, broken, promise):
    promise(sound)
    case = contract.Case(broken(sound.generator), sound.particles, sound.outside)
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        promise(case)
