"""Loads an official CosyVoice-1 checkpoint folder: configuration, the three torch modules in fp32, and the voices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.errors import BundleError
from pipeline.export.speakers import read_voices
from pipeline.export.weights import load_weights, read_weights, vocoder_names
from pipeline.model.config import ModelConfig, read_config
from pipeline.model.flow import MaskedDiffWithXvec
from pipeline.model.hift import HiFTGenerator
from pipeline.model.lm import TransformerLM
from pipeline.types import Voice

CONFIG = "cosyvoice.yaml"
VOICES = "spk2info.pt"
FILES = (CONFIG, "llm.pt", "flow.pt", "hift.pt", VOICES)


@dataclass(frozen=True)
class Checkpoint:
    """The modules are in eval mode; their parameter names are the official ones."""

    path: Path
    config: ModelConfig
    llm: TransformerLM
    flow: MaskedDiffWithXvec
    hift: HiFTGenerator
    voices: list[Voice]


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Raises BundleError naming file and cure for anything missing, unsafe, damaged, unsupported or ill-fitting."""
    folder = Path(folder)
    _check_files(folder)
    config = read_config(folder / CONFIG)
    voices = read_voices(folder / VOICES, config)
    with torch.device("meta"):  # the weights replace what initialization would compute for seconds
        llm, flow = TransformerLM(config.lm), MaskedDiffWithXvec(config.flow)
    hift = HiFTGenerator(config.hift)
    load_weights(llm, read_weights(folder / "llm.pt"), folder / "llm.pt")
    load_weights(flow, read_weights(folder / "flow.pt"), folder / "flow.pt")
    load_weights(hift, vocoder_names(read_weights(folder / "hift.pt")), folder / "hift.pt")
    return Checkpoint(folder, config, llm.eval(), flow.eval(), hift.eval(), voices)


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        kind = "is no folder" if folder.exists() else "does not exist"
        raise BundleError(f"{folder} {kind}: give the folder of an official CosyVoice-300M checkpoint.")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not missing:
        return
    newer = [name for name in ("cosyvoice2.yaml", "cosyvoice3.yaml") if (folder / name).is_file()]
    if CONFIG in missing and newer:
        raise BundleError(
            f"{folder} holds {newer[0]}: only CosyVoice-1 (300M, 300M-25Hz, SFT, Instruct) is supported. "
            "Give the folder of such a checkpoint."
        )
    raise BundleError(
        f"{folder} lacks {', '.join(missing)}: download {'it' if len(missing) == 1 else 'them'} from the official "
        f"release{_other_forms(folder, missing)}."
    )


def _other_forms(folder: Path, missing: list[str]) -> str:
    """Names the files that look like a missing one, such as the TorchScript forms of the same model."""
    stems = {Path(name).stem for name in missing}
    found = sorted(
        file.name for file in folder.iterdir() if file.name.split(".")[0] in stems and file.name not in missing
    )
    return f" ({', '.join(found)} cannot be exported)" if found else ""
