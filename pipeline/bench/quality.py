"""What a bundle's precisions and profiles cost: in distance graph by graph, in drawn tokens, mel, phone errors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np

from pipeline.bench.distances import divergence_nat, mean_distance, num_same_at_start, snr_db
from pipeline.bench.quality_report import PrecisionFigures, ProfileFigures, QualityReport
from pipeline.bench.renderings import PROFILES, REFERENCE_STEPS, Models, Rendering, render_all
from pipeline.build import build_frontend
from pipeline.config import ServiceConfig, TextConfig
from pipeline.errors import InvalidRequest
from pipeline.runtime.bundle import MANIFEST, Bundle, GraphName, Precision
from pipeline.runtime.threads import num_threads_for
from pipeline.types import F32, SpeechRequest, Utterance

Progress = Callable[[str], None]

SENTENCES: Mapping[str, Sequence[str]] = {
    "zh": ("今天下午三点开会，请带上报告。", "小船慢慢地划过湖面，留下长长的水纹。"),
    "en": ("The meeting starts at three in the afternoon.", "A small boat crosses the quiet lake."),
    "ja": ("今日は天気がとてもいいです。", "明日の会議は三時に始まります。"),
    "ko": ("오늘은 날씨가 아주 좋습니다.", "내일 회의는 세 시에 시작합니다."),
    "yue": ("今日天氣好好，我哋去公園行下。", "聽日三點鐘開會，記得嚟。"),
}

# graph -> the field of a rendering that it computes
_OUTPUTS: Mapping[GraphName, str] = {
    "lm_prefix": "text_hidden",
    "lm": "logits",
    "flow_encoder": "mu",
    "flow_estimator": "velocity",
    "f0_predictor": "f0",
    "vocoder": "wave",
}


def judge(
    path: Path,
    *,
    num_sentences: int = 5,
    phone_errors: Callable[[Bundle, Precision], float] | None = None,
    progress: Progress = print,
) -> QualityReport:
    """Judges every precision of a bundle, or of an official checkpoint folder, which is exported in all of them.

    Args:
        num_sentences: how many are spoken, of the languages in turn.
        phone_errors: share of wrong phones of the bundle in one precision; None leaves them out.

    Raises:
        BundleError: the folder is neither, or is damaged.
        InvalidRequest: `num_sentences` is out of range.
    """
    with _opened(path, progress) as bundle:
        utterances = _utterances(bundle, num_sentences)
        precisions = list(bundle.manifest.graphs)
        first: Precision = "fp32" if "fp32" in precisions else precisions[0]
        threads = num_threads_for(None, None)
        progress(f"{first}: {len(utterances)} sentences, and {REFERENCE_STEPS} steps of the flow for each")
        models = Models(bundle, first, threads)
        references = list(render_all(models, utterances, None))
        targets = [
            models.reference_mel(utterance, rendering.tokens)
            for utterance, rendering in zip(utterances, references, strict=True)
        ]
        profiles, rows = _profiles(first, references, targets), []
        for precision in (name for name in precisions if name != first):
            progress(f"{precision}: the same")
            renderings = list(render_all(Models(bundle, precision, threads), utterances, references))
            errors = None if phone_errors is None else phone_errors(bundle, precision)
            rows.append(_figures(bundle, first, precision, references, renderings, errors))
            profiles += _profiles(precision, renderings, targets)
        return QualityReport(
            bundle=bundle.manifest.name,
            reference=first,
            default=precisions[0],
            sentences=tuple(utterance.text for utterance in utterances),
            precisions=tuple(rows),
            profiles=tuple(profiles),
            reference_phone_errors=None if phone_errors is None else phone_errors(bundle, first),
        )


@contextmanager
def _opened(path: Path, progress: Progress) -> Iterator[Bundle]:
    if (path / MANIFEST).is_file():
        yield Bundle.open(path)
        return
    from pipeline.export.export import export

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bundle"
        export(path, target, precisions=get_args(Precision), name=path.resolve().name, progress=progress)
        yield Bundle.open(target)


def _utterances(bundle: Bundle, num_sentences: int) -> list[Utterance]:
    """Of the bundle's languages in turn, each by the next voice."""
    spoken = [SENTENCES[name] for name in bundle.manifest.languages if name in SENTENCES]
    texts = [text for group in zip(*spoken, strict=True) for text in group]
    if not 1 <= num_sentences <= len(texts):
        raise InvalidRequest(f"{num_sentences} sentences are out of range: 1 to {len(texts)} for this bundle.")
    frontend = build_frontend(ServiceConfig(text=TextConfig(lexicon=None)), bundle)
    voices = bundle.manifest.voices
    requests = [SpeechRequest(text, voices[i % len(voices)], seed=i) for i, text in enumerate(texts[:num_sentences])]
    return [frontend.prepare(request)[0] for request in requests]


def _figures(
    bundle: Bundle,
    reference: Precision,
    precision: Precision,
    references: Sequence[Rendering],
    renderings: Sequence[Rendering],
    phone_errors: float | None,
) -> PrecisionFigures:
    pairs = list(zip(references, renderings, strict=True))
    graphs = bundle.manifest.graphs
    return PrecisionFigures(
        precision=precision,
        graph_snr_db={
            graph: snr_db([(getattr(a, field), getattr(b, field)) for a, b in pairs])
            for graph, field in _OUTPUTS.items()
            if graphs[reference][graph] != graphs[precision][graph]
        },
        same_draws=float(np.mean(np.concatenate([a.draws == b.draws for a, b in pairs]))),
        divergence_nat=float(np.mean(np.concatenate([divergence_nat(a.logits, b.logits) for a, b in pairs]))),
        same_start=sum(num_same_at_start(a.tokens, b.tokens) for a, b in pairs)
        / sum(len(a.tokens) for a in references),
        mel_distance_nat=mean_distance([(a.mels["exact"], b.mels["exact"]) for a, b in pairs]),
        audio_distance_nat=mean_distance([(a.spectrogram, b.spectrogram) for a, b in pairs]),
        phone_errors=phone_errors,
    )


def _profiles(precision: Precision, renderings: Sequence[Rendering], targets: Sequence[F32]) -> list[ProfileFigures]:
    return [
        ProfileFigures(
            precision,
            profile,
            mean_distance([(made.mels[profile], target) for made, target in zip(renderings, targets, strict=True)]),
        )
        for profile in PROFILES
    ]
