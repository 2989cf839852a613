"""A replica of the product in this process: how it starts, and what memory it takes, alone and beside another."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pipeline.bench.process import peak_rss_mb, private_mb, run_alone
from pipeline.bench.service import configured, speak
from pipeline.build import LocalSynthesizer
from pipeline.runtime.bundle import Bundle, Precision


def start(
    bundle: str, precision: Precision, prepared: str, text: str, num_others: int, spawned_at: float
) -> dict[str, Any]:
    """Seconds from starting the process until it is ready and until its first audio, and its memory.

    Args:
        prepared: the folder of what is prepared for this machine; what it lacks, this start adds.
        num_others: replicas that start one after the other while this one lives.
    """
    opened = Bundle.open(bundle, [Path(prepared)])
    imported_s = time.monotonic() - spawned_at
    with LocalSynthesizer(configured(opened, precision, is_streamed=True)) as synthesizer:
        ready = {"ready_s": time.monotonic() - spawned_at, "ready_cpu_s": time.process_time()}
        ready_rss_mb = peak_rss_mb()
        first = asyncio.run(speak(synthesizer, opened, text, 0))
        shared = {"bundle": bundle, "precision": precision, "prepared": prepared, "text": text}
        other = run_alone("replica:start", **shared, num_others=num_others - 1) if num_others else None
    return {
        "imported_s": imported_s,
        **ready,
        "first_audio_s": ready["ready_s"] + first["first_audio_s"],
        "last_audio_s": ready["ready_s"] + first["latency_s"],
        "ready_rss_mb": ready_rss_mb,
        "peak_rss_mb": peak_rss_mb(),
        "private_mb": private_mb(),
        "other": other,
    }
