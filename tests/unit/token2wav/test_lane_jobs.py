"""A job that is alone has all lanes, several have one each, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.runtime.core_claims import CoreClaims
from pipeline.token2wav.lane_jobs import Lane, LaneJobs

TIMEOUT_S = 10


@pytest.fixture
def jobs() -> Iterator[LaneJobs]:
    jobs = LaneJobs(2)
    yield jobs
    jobs.close()


def lane_of(lane: Lane) -> Lane:
    return lane


def test_one_job_at_a_time_has_all_lanes(jobs: LaneJobs) -> None:
    assert [jobs.submit([lane_of])[0].result(TIMEOUT_S) for _ in range(20)] == [None] * 20


def test_the_first_of_a_burst_has_all_lanes(jobs: LaneJobs) -> None:
    for _ in range(50):
        futures = [jobs.submit([lane_of])[0] for _ in range(4)]
        first, *_ = (future.result(TIMEOUT_S) for future in futures)
        assert first is None


def test_two_jobs_run_side_by_side_on_a_lane_each(jobs: LaneJobs) -> None:
    barrier = threading.Barrier(2)

    def meet(lane: Lane) -> Lane:
        barrier.wait(TIMEOUT_S)
        return lane

    assert {future.result(TIMEOUT_S) for future in jobs.submit([meet, meet])} == {0, 1}
    assert jobs.submit([lane_of])[0].result(TIMEOUT_S) is None


def test_who_comes_while_one_has_all_lanes_waits_for_it(jobs: LaneJobs) -> None:
    entered, go_on, barrier = threading.Event(), threading.Event(), threading.Barrier(2)
    has_ended = False

    def first(lane: Lane) -> Lane:
        entered.set()
        assert go_on.wait(TIMEOUT_S)
        nonlocal has_ended
        has_ended = True
        return lane

    def later(lane: Lane) -> Lane:
        assert has_ended
        barrier.wait(TIMEOUT_S)
        return lane

    futures = jobs.submit([first])
    assert entered.wait(TIMEOUT_S)
    futures += jobs.submit([later, later])
    go_on.set()
    lanes = [future.result(TIMEOUT_S) for future in futures]
    assert lanes[0] is None
    assert set(lanes[1:]) == {0, 1}


def test_a_lane_is_free_again_after_an_error_and_a_cancelled_job_never_runs(jobs: LaneJobs) -> None:
    entered, go_on, ran = threading.Event(), threading.Event(), threading.Event()

    def fail(lane: Lane) -> None:
        entered.set()
        assert go_on.wait(TIMEOUT_S)
        raise ValueError("no")

    futures = jobs.submit([fail, fail, lambda lane: ran.set()])
    assert entered.wait(TIMEOUT_S)
    assert futures[2].cancel()
    go_on.set()
    for future in futures[:2]:
        with pytest.raises(ValueError, match="no"):
            future.result(TIMEOUT_S)
    assert jobs.submit([lane_of])[0].result(TIMEOUT_S) is None
    assert not ran.is_set()


def test_an_urgent_job_goes_before_others_that_wait() -> None:
    entered, go_on, order = threading.Event(), threading.Event(), list[str]()

    def hold(lane: Lane) -> None:
        entered.set()
        assert go_on.wait(TIMEOUT_S)

    def named(name: str) -> Callable[[Lane], None]:
        return lambda lane: order.append(name)

    one_lane = LaneJobs(1)
    futures = one_lane.submit([hold])
    assert entered.wait(TIMEOUT_S)
    futures += one_lane.submit([named("a"), named("b")])
    futures += one_lane.submit([named("c"), named("d")], [False, True])
    go_on.set()
    for future in futures:
        future.result(TIMEOUT_S)
    one_lane.close()
    assert order == ["d", "a", "b", "c"]


def test_cores_are_claimed_while_an_urgent_job_waits_or_runs(tmp_path: Path) -> None:
    claims, others = CoreClaims(tmp_path / "cores", 2), CoreClaims(tmp_path / "cores", 2)
    jobs = LaneJobs(2, claims=claims)

    def are_claimed(_: Lane) -> bool:
        return not others.are_free(1)

    def fails(_: Lane) -> bool:
        raise RuntimeError("broken")

    assert jobs.submit([are_claimed])[0].result(TIMEOUT_S) is False
    assert jobs.submit([are_claimed], [True])[0].result(TIMEOUT_S) is True
    assert others.are_free(2)
    with pytest.raises(RuntimeError, match="broken"):
        jobs.submit([fails], [True])[0].result(TIMEOUT_S)
    assert others.are_free(2)
    jobs.close()


def test_an_urgent_job_that_is_cancelled_gives_its_claim_back(tmp_path: Path) -> None:
    claims, others = CoreClaims(tmp_path / "cores", 1), CoreClaims(tmp_path / "cores", 1)
    jobs, go_on = LaneJobs(1, claims=claims), threading.Event()
    jobs.submit([lambda _: go_on.wait(TIMEOUT_S)])
    (urgent,) = jobs.submit([lane_of], [True])
    assert not others.are_free(1)
    assert urgent.cancel()
    go_on.set()
    jobs.submit([lane_of])[0].result(TIMEOUT_S)
    assert others.are_free(1)
    jobs.close()
