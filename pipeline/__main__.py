"""The command line: argument parsing only."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pipeline import __version__
from pipeline.config import BUNDLED_VOICE, ModelConfig, ServiceConfig
from pipeline.errors import InvalidRequest, TTSError
from pipeline.runtime.bundle import Precision
from pipeline.types import Profile

# modules that serving does without -> the extra that brings them
EXTRAS = {
    "torch": "export",
    "onnx": "export",
    "yaml": "export",
    "matplotlib": "bench",
    "jieba": "train",
    "pypinyin": "train",
    "pocketsphinx": "train",
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except TTSError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        print(f"error: this command needs {error.name}: pip install 'cosyvoice-serve[{extra}]'.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cosyvoice-serve", description="CosyVoice-300M speech on CPUs.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_say(commands.add_parser("say", help="speak a text into an audio file"))
    _add_voices(commands.add_parser("voices", help="list the voices of a bundle"))
    _add_export(commands.add_parser("export", help="make a bundle from an official checkpoint folder"))
    _add_parity(commands.add_parser("parity", help="compare torch and ONNX with golden arrays"))
    _add_train(commands.add_parser("train", help="make the bundled voice anew, or judge a voice"))
    _add_bench(commands.add_parser("bench", help="measure speed and memory on this machine"))
    _add_quality(commands.add_parser("quality", help="how far a bundle's precisions lie from each other"))
    _add_bench_text(commands.add_parser("bench-text", help="time the text frontend next to the plain way"))
    return parser


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", default=BUNDLED_VOICE, metavar="DIR", help="bundle folder (default: the bundled voice)"
    )


def _add_say(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file; its suffix chooses the format")
    parser.add_argument("-v", "--voice", help="a name that `voices` lists (default: the bundle's first)")
    parser.add_argument("--speed", type=float, default=1.0, help="0.25 to 4.0, pitch unchanged")
    parser.add_argument("--seed", type=int, help="makes the audio reproducible")
    parser.add_argument("--language", choices=("zh", "en", "ja", "ko", "yue"))
    parser.add_argument("--precision", choices=("auto", *get_args(Precision)), default="auto")
    _add_bundle(parser)
    parser.set_defaults(run=_say)


def _say(arguments: argparse.Namespace) -> int:
    from pipeline.say import say

    config = ServiceConfig(model=ModelConfig(bundle=arguments.bundle, precision=arguments.precision))
    asyncio.run(
        say(
            config,
            arguments.text,
            arguments.output,
            voice=arguments.voice,
            speed=arguments.speed,
            seed=arguments.seed,
            language=arguments.language,
        )
    )
    return 0


def _add_voices(parser: argparse.ArgumentParser) -> None:
    _add_bundle(parser)
    parser.set_defaults(run=_voices)


def _voices(arguments: argparse.Namespace) -> int:
    from pipeline.build import open_bundle

    bundle = open_bundle(ModelConfig(bundle=arguments.bundle))
    for name in bundle.manifest.voices:
        print(name)
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT_DIR", help="folder with cosyvoice.yaml and *.pt")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE_DIR", help="folder to make")
    parser.add_argument(
        "--precision",
        action="append",
        choices=get_args(Precision),
        help="may be given again; the first is the bundle's default (default: fp32)",
    )
    parser.add_argument("--name", help="the model's id (default: the checkpoint folder's name)")
    parser.add_argument("--description", default="", help="one sentence for those who list the models")
    parser.add_argument(
        "--profile",
        choices=get_args(Profile),
        default="exact",
        help="how the flow is solved where the service's configuration does not say (default: exact)",
    )
    parser.add_argument("--ranks", type=Path, metavar="FILE", help="tiktoken ranks of the text tokenizer")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from pipeline.export.export import export

    started = time.monotonic()
    report = export(
        arguments.checkpoint,
        arguments.bundle,
        precisions=arguments.precision or ["fp32"],
        name=arguments.name,
        description=arguments.description,
        ranks=arguments.ranks,
        profile=arguments.profile,
        progress=lambda line: _note(f"[{time.monotonic() - started:6.1f} s] {line}"),
    )
    print(report.table())
    return 0


def _add_parity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT_DIR")
    parser.add_argument("golden", type=Path, metavar="GOLDEN.npz")
    parser.set_defaults(run=_parity)


def _parity(arguments: argparse.Namespace) -> int:
    from pipeline.export.golden import compare_with_golden

    report = compare_with_golden(arguments.checkpoint, arguments.golden, progress=_note)
    print(report.table())
    return 0 if report.passed else 1


def _add_train(parser: argparse.ArgumentParser) -> None:
    steps = ("corpus", "recognizer", "vocoder", "flow", "polish", "f0", "lm", "export")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"{', '.join(steps)}, evaluate (default: all)")
    parser.add_argument("--folder", type=Path, default=Path("voice"), metavar="DIR", help="keeps data and checkpoints")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of training steps (default: 1)")
    parser.add_argument("--corpus", type=float, default=1.0, metavar="SCALE", help="of the corpus's size (default: 1)")
    parser.add_argument("--hours", type=float, default=float("inf"), help="at most, of each step; resume later")
    parser.add_argument("--from-bundle", type=Path, metavar="DIR", help="corpus: go on with a bundle's models")
    parser.add_argument("--sentences", type=Path, metavar="FILE", help="Mandarin text, a sentence a line, to mix in")
    parser.add_argument("--num-sentences", type=int, default=200, help="evaluate: of each language (default: 200)")
    parser.add_argument("--bundle", metavar="DIR", help="evaluate: another bundle than the one that was made")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="evaluate: where the report is written")
    parser.set_defaults(run=_train, all_steps=steps)


def _train(arguments: argparse.Namespace) -> int:
    from pipeline.training.voice.corpus import Plan
    from pipeline.training.voice.recipe import Recipe, evaluate_voice, run_recipe

    known = (*arguments.all_steps, "evaluate")
    if unknown := [name for name in arguments.steps if name not in known]:
        raise InvalidRequest(f"{unknown[0]!r} is no step of the recipe: choose of {', '.join(known)}.")
    plan = Plan(sentences=arguments.sentences).scaled(arguments.corpus)
    recipe = Recipe(arguments.folder, arguments.scale, 3600 * arguments.hours, plan, arguments.from_bundle)
    steps = arguments.steps or list(known)
    run_recipe(recipe, steps)
    if "evaluate" in steps:
        output = arguments.output or arguments.folder / "evaluation"
        print(evaluate_voice(recipe, arguments.bundle, output, arguments.num_sentences).markdown())
    return 0


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task", nargs="?", choices=("all", "tune"), default="all", help="tune: how to divide this machine's cores"
    )
    parser.add_argument("--goal", choices=("latency", "throughput"), default="latency", help="of tune")
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="int8", help="of tune, http and summary (default: int8)"
    )
    parser.add_argument("--size", choices=("300m", "tiny"), default="300m", help="of the model with random weights")
    parser.add_argument(
        "--seconds", type=_numbers, default=(2.0, 4.0, 9.0, 30.0), metavar="S,S", help="of audio (default: 2,4,9,30)"
    )
    parser.add_argument(
        "--torch-seconds", type=_numbers, default=(4.0,), metavar="S,S", help="which of them torch speaks (default: 4)"
    )
    parser.add_argument("--repeats", type=int, default=3, help="of up to 4 s of audio by the product (default: 3)")
    parser.add_argument("--torch-repeats", type=int, default=1, help="of each that takes a minute (default: 1)")
    parser.add_argument("--only", action="append", metavar="PART", help="may be given again; `profile` is only run so")
    parser.add_argument("--workdir", type=Path, metavar="DIR", help="keeps the model, 4 GB (default: in ~/.cache)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where bench.json, .md and .png are written")
    parser.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from pipeline.bench.context import DEFAULT_WORKDIR, Settings
    from pipeline.bench.parts import DEFAULT_PARTS
    from pipeline.bench.run import run_bench, run_tune, write_plan

    settings = Settings(
        size=arguments.size,
        durations_s=arguments.seconds,
        baseline_durations_s=arguments.torch_seconds,
        repeats=arguments.repeats,
        baseline_repeats=arguments.torch_repeats,
        precision=arguments.precision,
        workdir=arguments.workdir or DEFAULT_WORKDIR,
    )
    started = time.monotonic()

    def progress(line: str) -> None:
        _note(f"[{time.monotonic() - started:6.1f} s] {line}")

    plan = None
    if arguments.task == "tune":
        report, plan = run_tune(settings, arguments.goal, progress=progress)
        print(f"{report.markdown()}\nFor serve_config.yaml:\n\n{plan.lines()}")
    else:
        report = run_bench(settings, parts=arguments.only or DEFAULT_PARTS, progress=progress)
        print(report.markdown())
    if arguments.output is not None:
        files = report.write(arguments.output)
        for file in files if plan is None else [*files, write_plan(plan, arguments.output)]:
            _note(f"wrote {file}")
    return 0


def _add_quality(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="bundle, or official checkpoint to export in all")
    parser.add_argument("--num-sentences", type=int, default=5, help="in all (default: 5)")
    parser.add_argument(
        "--judge", type=Path, metavar="DIR", help="folder of `train`: its recogniser counts phone errors"
    )
    parser.add_argument("--num-judged", type=int, default=10, help="sentences of each language (default: 10)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where quality.json and .md are written")
    parser.set_defaults(run=_quality)


def _quality(arguments: argparse.Namespace) -> int:
    from pipeline.bench.quality import judge
    from pipeline.bench.quality_phones import phone_errors_by

    phone_errors = None
    if arguments.judge is not None:
        phone_errors = phone_errors_by(arguments.judge, arguments.num_judged, _note)
    report = judge(arguments.folder, num_sentences=arguments.num_sentences, phone_errors=phone_errors, progress=_note)
    print(report.markdown())
    if arguments.output is not None:
        for file in report.write(arguments.output):
            _note(f"wrote {file}")
    return 0 if report.passed else 1


def _add_bench_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=200, help="of each measurement (default: 200)")
    parser.set_defaults(run=_bench_text)


def _bench_text(arguments: argparse.Namespace) -> int:
    from pipeline.bench.text import run_text_bench

    print(run_text_bench(arguments.repeats).markdown())
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
