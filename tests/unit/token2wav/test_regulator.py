from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.runtime.bundle import Bundle, Manifest
from pipeline.token2wav.regulator import stretch, unfinished, whole


@pytest.fixture(params=[25.0, 50.0], ids=["25 Hz", "50 Hz"])
def manifest(request: pytest.FixtureRequest, bundle: Bundle) -> Manifest:
    return bundle.manifest.model_copy(update={"token_rate": request.param})


@pytest.mark.parametrize(("num_tokens", "num_frames"), [(1, 1), (1, 3), (7, 24), (20, 68), (40, 23), (600, 2067)])
def test_stretch_is_torchs_linear_interpolation(num_tokens: int, num_frames: int) -> None:
    values = np.random.default_rng(0).standard_normal((1, 3, num_tokens)).astype(np.float32)
    place = stretch(num_tokens, num_frames)
    ours = values[..., place.lower] * (1 - place.upper_weight) + values[..., place.upper] * place.upper_weight
    theirs = F.interpolate(torch.from_numpy(values), size=num_frames, mode="linear").numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("num_tokens", [1, 19, 40, 41, 42, 60, 333])
def test_every_frame_has_a_place_between_tokens_in_order(manifest: Manifest, num_tokens: int) -> None:
    for place in (whole(manifest, num_tokens), unfinished(manifest, num_tokens)):
        positions = place.lower + place.upper_weight
        assert len(positions) == manifest.num_mel_frames(num_tokens)
        assert (np.diff(positions) >= 0).all()
    assert whole(manifest, num_tokens).upper.max() == num_tokens - 1


@pytest.mark.parametrize("num_tokens", [10, 50, 200])
@pytest.mark.parametrize("final_length", [1.0, 1.5, 2.0, 4.0])
def test_the_guess_while_streaming_is_off_by_less_than_half_a_token(
    manifest: Manifest, num_tokens: int, final_length: float
) -> None:
    guess = unfinished(manifest, num_tokens)
    truth = whole(manifest, int(final_length * num_tokens)).frames(0, len(guess.lower))
    distance = (guess.lower + guess.upper_weight) - (truth.lower + truth.upper_weight)
    assert np.abs(distance).max() <= 1.0
    assert np.abs(distance).mean() < 0.5


def test_a_window_renumbers_its_tokens(manifest: Manifest) -> None:
    place = whole(manifest, 100).frames(150, 200)
    window = place.within(40, 60)
    assert 0 <= window.lower.min() <= window.upper.max() <= 19
    inside = (place.lower >= 40) & (place.upper < 60)
    np.testing.assert_array_equal(window.lower[inside] + 40, place.lower[inside])
