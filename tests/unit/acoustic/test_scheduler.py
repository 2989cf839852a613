from __future__ import annotations

import random
from collections.abc import Sequence

from pipeline.acoustic.scheduler import Scheduler


def any_fit(group: Sequence[object]) -> bool:
    return True


def add_all(scheduler: Scheduler[str], sequences: str) -> None:
    for sequence in sequences:
        scheduler.add(sequence)


def test_the_first_to_come_start_first_within_slots_and_prefill_size() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=3, prefill_batch_size=2)
    add_all(scheduler, "abcde")
    first = scheduler.next_group(any_fit)
    scheduler.start(first)
    second = scheduler.next_group(any_fit)
    scheduler.start(second)
    assert (first, second, scheduler.next_group(any_fit)) == (["a", "b"], ["c"], [])
    assert (scheduler.running, scheduler.waiting) == (["a", "b", "c"], ["d", "e"])


def test_the_last_slot_moves_into_the_hole() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=4, prefill_batch_size=4)
    scheduler.start("abcd")
    assert scheduler.retire(1) == "b"
    assert scheduler.running == ["a", "d", "c"]
    assert scheduler.retire(2) == "c"
    assert scheduler.running == ["a", "d"]


def test_who_continues_goes_before_who_starts() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=9, prefill_batch_size=3)
    for sequence in "aBcDe":
        scheduler.add(sequence, is_continuation=sequence.isupper())
    assert scheduler.waiting == ["B", "D", "a", "c", "e"]
    assert scheduler.next_group(any_fit) == ["B", "D", "a"]
    assert scheduler.waiting == ["c", "e"]


def test_the_withdrawn_leave_the_queue_and_the_others_keep_their_order() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=1, prefill_batch_size=1)
    add_all(scheduler, "abcdef")
    assert scheduler.withdraw(lambda sequence: sequence in "ace") == 3
    assert scheduler.waiting == ["b", "d", "f"]


def test_every_sequence_runs_once_and_slots_never_overflow() -> None:
    rng = random.Random(0)
    scheduler: Scheduler[int] = Scheduler(max_batch_size=5, prefill_batch_size=3)
    for number in range(200):
        scheduler.add(number, is_continuation=number % 3 == 0)
    retired: list[int] = []
    while len(retired) < 200:
        group = scheduler.next_group(any_fit)
        assert len(group) <= 3
        scheduler.start(group)
        assert len(scheduler.running) <= 5
        retired.append(scheduler.retire(rng.randrange(len(scheduler.running))))
    assert sorted(retired) == list(range(200))


def test_a_group_is_cut_to_what_fits_but_one_always_goes() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=9, prefill_batch_size=4)
    add_all(scheduler, "abcdef")
    assert scheduler.next_group(lambda group: len(group) <= 3) == ["a", "b", "c"]
    assert scheduler.next_group(lambda group: False) == ["d"]
    assert scheduler.waiting == ["e", "f"]


def test_nobody_else_is_started_while_a_prefill_is_under_way() -> None:
    scheduler: Scheduler[str] = Scheduler(max_batch_size=2, prefill_batch_size=1)
    add_all(scheduler, "abc")
    scheduler.start(scheduler.next_group(any_fit))
    (long,) = scheduler.next_group(any_fit)
    scheduler.begin(long)
    scheduler.retire(0)
    assert scheduler.next_group(any_fit) == []
    scheduler.start([long])
    assert (scheduler.running, scheduler.next_group(any_fit)) == (["b"], ["c"])
