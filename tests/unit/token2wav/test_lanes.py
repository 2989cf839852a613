"""Both halves of a computation are always run to their end, on threads that they do not share."""

from __future__ import annotations

import threading

import pytest

from pipeline.runtime.bundle import Bundle
from pipeline.runtime.session import Session
from pipeline.token2wav.lanes import Lanes


def lanes(bundle: Bundle, num_threads: int) -> Lanes:
    return Lanes(bundle, "flow_estimator", "fp32", num_threads)


def test_one_session_serves_both_halves_unless_it_has_threads_of_its_own(bundle: Bundle) -> None:
    made = {num_threads: lanes(bundle, num_threads) for num_threads in (1, 2, 3, 4)}
    assert {num: each.left is each.right for num, each in made.items()} == {1: True, 2: True, 3: True, 4: False}
    assert {num: each.is_parallel for num, each in made.items()} == {1: False, 2: True, 3: False, 4: True}


def test_halves_meet_when_they_run_side_by_side(bundle: Bundle) -> None:
    barrier = threading.Barrier(2, timeout=10)

    def meet(session: Session) -> str:
        barrier.wait()
        return threading.current_thread().name

    left, right = lanes(bundle, 2).run(meet, meet)
    assert left == threading.current_thread().name
    assert right.startswith("lane")


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("failing", ["left", "right"])
def test_an_error_in_either_half_is_raised(bundle: Bundle, num_threads: int, failing: str) -> None:
    def fail(session: Session) -> None:
        raise ValueError(failing)

    halves = {"left": lambda session: None, "right": lambda session: None, failing: fail}
    pair = lanes(bundle, num_threads)
    with pytest.raises(ValueError, match=failing):
        pair.run(halves["left"], halves["right"])
    assert pair.run(lambda session: 1, lambda session: 2) == (1, 2)
