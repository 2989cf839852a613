from __future__ import annotations

import random

from pipeline.acoustic.scheduler import Scheduler


def test_the_first_to_come_start_first_within_slots_and_prefill_size() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=3, prefill_batch_size=2)
    scheduler.add("abcde")
    first = scheduler.next_group()
    scheduler.start(first)
    second = scheduler.next_group()
    scheduler.start(second)
    assert (first, second, scheduler.next_group()) == (["a", "b"], ["c"], [])
    assert (scheduler.running, list(scheduler.waiting)) == (["a", "b", "c"], ["d", "e"])


def test_the_last_slot_moves_into_the_hole() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=4, prefill_batch_size=4)
    scheduler.start("abcd")
    assert scheduler.retire(1) == "b"
    assert scheduler.running == ["a", "d", "c"]
    assert scheduler.retire(2) == "c"
    assert scheduler.running == ["a", "d"]


def test_the_withdrawn_leave_the_queue_and_the_others_keep_their_order() -> None:
    scheduler: Scheduler[int] = Scheduler(max_batch_size=1, prefill_batch_size=1)
    scheduler.add(range(6))
    assert scheduler.withdraw(lambda n: n % 2 == 0) == [0, 2, 4]
    assert list(scheduler.waiting) == [1, 3, 5]


def test_every_sequence_runs_once_and_slots_never_overflow() -> None:
    rng = random.Random(0)
    scheduler: Scheduler[int] = Scheduler(max_batch_size=5, prefill_batch_size=3)
    scheduler.add(range(200))
    retired: list[int] = []
    while len(retired) < 200:
        group = scheduler.next_group()
        assert len(group) <= 3
        scheduler.start(group)
        assert len(scheduler.running) <= 5
        retired.append(scheduler.retire(rng.randrange(len(scheduler.running))))
    assert sorted(retired) == list(range(200))
