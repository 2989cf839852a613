from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import ValidationError
from replica import enter_replica

from deployments.batching import Batcher, BatchWindow

CLOSED = BatchWindow(batch_size=4, batch_window_ms=0)
OPEN = BatchWindow(batch_size=4, batch_window_ms=30)


class Doubling:
    """Remembers its batches; an odd number fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def double(self, numbers: list[int]) -> Sequence[int | Exception]:
        self.batches.append(numbers)
        return [ValueError(f"{number} is odd") if number % 2 else 2 * number for number in numbers]


@pytest.fixture(autouse=True)
def _replica(monkeypatch: pytest.MonkeyPatch) -> None:
    enter_replica(monkeypatch)


async def test_a_closed_window_calls_at_once_and_alone() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling.double, CLOSED)
    assert await asyncio.gather(*map(batcher, (2, 4, 6))) == [4, 8, 12]
    assert doubling.batches == [[2], [4], [6]]


async def test_arrivals_of_an_open_window_share_a_call_up_to_its_size() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling.double, OPEN)
    assert await asyncio.gather(*map(batcher, range(0, 12, 2))) == [0, 4, 8, 12, 16, 20]
    assert doubling.batches == [[0, 2, 4, 6], [8, 10]]


@pytest.mark.parametrize("window", [CLOSED, OPEN])
async def test_a_bad_item_fails_alone(window: BatchWindow) -> None:
    batcher = Batcher(Doubling().double, window)
    results = await asyncio.gather(*map(batcher, (2, 3, 4)), return_exceptions=True)
    assert [str(result) for result in results] == ["4", "3 is odd", "8"]


async def test_a_caller_that_leaves_is_not_served_and_harms_nobody() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling.double, OPEN)
    calls = [asyncio.ensure_future(batcher(number)) for number in (2, 4)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert await calls[1] == 8
    assert doubling.batches == [[4]]


async def test_who_need_not_wait_is_served_at_once() -> None:
    doubling, is_worthwhile = Doubling(), iter((False, True, True))
    batcher = Batcher(doubling.double, OPEN, lambda: next(is_worthwhile))
    assert await asyncio.gather(*map(batcher, (2, 4, 6))) == [4, 8, 12]
    assert doubling.batches == [[2], [4, 6]]


async def test_settings_change_while_it_runs() -> None:
    doubling = Doubling()
    batcher = Batcher(doubling.double, CLOSED)
    batcher.reconfigure({"batch_window_ms": 30, "batch_size": 2})
    await asyncio.gather(*map(batcher, (2, 4, 6)))
    assert doubling.batches == [[2, 4], [6]]


async def test_an_unknown_setting_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="window_s"):
        Batcher(Doubling().double, CLOSED).reconfigure({"window_s": 1})


async def test_health_reports_a_batching_task_that_died() -> None:
    batcher = Batcher(Doubling().double, OPEN)
    await batcher(2)
    await batcher.check_health()
    (task,) = [task for task in asyncio.all_tasks() if "_process_batches" in repr(task.get_coro())]
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(RuntimeError, match="must be restarted"):
        await batcher.check_health()
