from __future__ import annotations

import numpy as np
import pytest

from pipeline.token2wav.speed import TimeScale

SPEEDS = [0.25, 0.5, 0.9, 1.0, 1.1, 1.7, 4.0]


@pytest.mark.parametrize("speed", SPEEDS)
def test_frames_made_early_are_those_made_at_the_end(speed: float) -> None:
    mel = np.random.default_rng(0).standard_normal((57, 3)).astype(np.float32)
    time = TimeScale(speed)
    total = time.num_total(len(mel))
    whole = time.stretch(mel, 0, 0, total)
    assert len(whole) == int(57 / speed)
    for num_frames in range(len(mel) + 1):
        ready = min(time.num_ready(num_frames), total)
        np.testing.assert_array_equal(time.stretch(mel[:num_frames], 0, 0, ready), whole[:ready])


@pytest.mark.parametrize("speed", SPEEDS)
def test_frames_that_are_no_longer_needed_can_be_dropped(speed: float) -> None:
    mel = np.random.default_rng(0).standard_normal((57, 3)).astype(np.float32)
    time = TimeScale(speed)
    total = time.num_total(len(mel))
    whole = time.stretch(mel, 0, 0, total)
    for start in range(total):
        offset = time.first_needed(start)
        np.testing.assert_allclose(time.stretch(mel[offset:], offset, start, total), whole[start:], atol=1e-5)


def test_speed_one_changes_nothing() -> None:
    mel = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    time = TimeScale(1.0)
    np.testing.assert_array_equal(time.stretch(mel, 0, 0, time.num_total(9)), mel)
    assert [time.num_ready(n) for n in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("speed", SPEEDS)
def test_no_more_is_ready_than_there_will_be(speed: float) -> None:
    time = TimeScale(speed)
    for num_frames in range(100):
        assert time.num_ready(num_frames) <= time.num_total(num_frames + 5)
