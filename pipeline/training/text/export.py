"""Writes the trained network as one ONNX graph with its vocabulary, both for `pipeline.text.polyphone`."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.text.polyphone import Vocabulary
from pipeline.training.text.network import ReadingNetwork

OPSET = 17


def export(network: ReadingNetwork, vocabulary: Vocabulary, folder: Path) -> None:
    """Inputs: characters and tags i64 [1, T], positions i64 [K]. Outputs: logits f32 [K, C] and pauses f32 [1, T]."""
    example = torch.zeros(1, 5, dtype=torch.int64)
    torch.onnx.export(
        network.eval(),
        (example, example, torch.tensor([1, 2])),
        str(folder / "polyphone.onnx"),
        input_names=["characters", "tags", "positions"],
        output_names=["logits", "pauses"],
        dynamic_axes={
            "characters": {1: "T"},
            "tags": {1: "T"},
            "positions": {0: "K"},
            "logits": {0: "K"},
            "pauses": {1: "T"},
        },
        opset_version=OPSET,
        dynamo=False,
    )
    (folder / "polyphone.json").write_text(vocabulary.to_json(), "utf-8")
