"""Loading a checkpoint folder: what comes out, and a clear error for everything that can be wrong with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import BundleError
from pipeline.export.checkpoint import FILES, load_checkpoint

GOLDEN = Path(__file__).parents[2] / "golden"

Folder = Path
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A copy of the small checkpoint that a test may damage."""
    for name in FILES:
        shutil.copy(GOLDEN / "reference-small" / name, tmp_path / name)
    return tmp_path


def rewrite(file: Path, change: Change) -> None:
    weights = dict(torch.load(file, weights_only=True))
    replaced = change(weights)
    torch.save(weights if replaced is None else replaced, file)


def test_modules_are_in_fp32_and_ready_to_infer(folder: Folder) -> None:
    checkpoint = load_checkpoint(folder)
    for module, name in ((checkpoint.llm, "llm"), (checkpoint.flow, "flow"), (checkpoint.hift, "hift")):
        stored = torch.load(folder / f"{name}.pt", weights_only=True)
        assert not module.training
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
        assert set(module.state_dict()) == set(stored)
        assert all(torch.equal(value, stored[key]) for key, value in module.state_dict().items())
    assert checkpoint.path == folder
    assert checkpoint.config.token_rate == 25


def test_voices_keep_their_names_and_embeddings(folder: Folder) -> None:
    stored = torch.load(folder / "spk2info.pt", weights_only=True)
    voices = load_checkpoint(folder).voices
    assert [voice.name for voice in voices] == ["中文女", "英文男"]
    assert voices[0].prompt is None
    assert voices[0].embedding.shape == (192,)
    np.testing.assert_array_equal(voices[0].embedding, stored["中文女"]["embedding"][0].numpy())


def test_saved_zero_shot_speakers_carry_their_prompt() -> None:
    voice = load_checkpoint(GOLDEN / "reference-50hz").voices[-1]
    stored = torch.load(GOLDEN / "reference-50hz" / "spk2info.pt", weights_only=True)["guest"]
    assert voice.prompt is not None
    np.testing.assert_array_equal(voice.prompt.text_ids, stored["prompt_text"][0].numpy())
    np.testing.assert_array_equal(voice.prompt.speech_tokens, stored["flow_prompt_speech_token"][0].numpy())
    np.testing.assert_array_equal(voice.prompt.mel, stored["prompt_speech_feat"][0].numpy())
    assert voice.prompt.text_ids.dtype == voice.prompt.speech_tokens.dtype == np.int64


def test_half_precision_weights_are_widened(folder: Folder) -> None:
    rewrite(folder / "llm.pt", lambda weights: {name: value.half() for name, value in weights.items()})
    weight = load_checkpoint(folder).llm.llm_decoder.weight
    stored = torch.load(folder / "llm.pt", weights_only=True)["llm_decoder.weight"]
    assert torch.equal(weight, stored.float())


@pytest.mark.parametrize("prefix", ["", "generator."])
@pytest.mark.parametrize("is_old_torch", [True, False])
def test_vocoders_load_under_older_names(folder: Folder, prefix: str, is_old_torch: bool) -> None:
    def older(weights: dict[str, Any]) -> dict[str, Any]:
        for new, old in (("original0", "weight_g"), ("original1", "weight_v")) if is_old_torch else ():
            weights = {name.replace(f"parametrizations.weight.{new}", old): w for name, w in weights.items()}
        discriminator = {"discriminator.mpd.weight": torch.ones(1)} if prefix else {}
        return {prefix + name: value for name, value in weights.items()} | discriminator

    expected = load_checkpoint(GOLDEN / "reference-small").hift.state_dict()
    rewrite(folder / "hift.pt", older)
    actual = load_checkpoint(folder).hift.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in actual.items())


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Folder, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"lacks {name}: download it"):
        load_checkpoint(folder)


def test_other_forms_of_a_missing_file_are_pointed_out(folder: Folder) -> None:
    (folder / "llm.pt").rename(folder / "llm.llm.fp16.zip")
    with pytest.raises(BundleError, match=r"lacks llm.pt.*llm.llm.fp16.zip cannot be exported"):
        load_checkpoint(folder)


def test_newer_releases_are_named(folder: Folder) -> None:
    (folder / "cosyvoice.yaml").rename(folder / "cosyvoice2.yaml")
    with pytest.raises(BundleError, match=r"cosyvoice2.yaml: only CosyVoice-1"):
        load_checkpoint(folder)


def test_a_path_that_is_no_folder_is_named(folder: Folder) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        load_checkpoint(folder / "nowhere")
    with pytest.raises(BundleError, match="is no folder"):
        load_checkpoint(folder / "llm.pt")


@pytest.mark.parametrize("name", ["llm.pt", "flow.pt", "hift.pt", "spk2info.pt"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[: len(data) // 2], "truncated or corrupted"),
        (lambda data: data[:-100], "truncated or corrupted"),
        (lambda data: b"not a checkpoint at all" * 100, "truncated or corrupted"),
        (lambda data: b"\x80\x02]q\x00.", "truncated or corrupted|holds no|lacks|download"),
        (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_damaged_files_are_named(folder: Folder, name: str, damage: Callable[[bytes], bytes], reason: str) -> None:
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(BundleError, match=f"{name}.*({reason})"):
        load_checkpoint(folder)


def test_a_single_flipped_bit_is_noticed(folder: Folder) -> None:
    file = folder / "flow.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=r"flow\.pt is corrupted \(.*wrong checksum\): download it again"):
        load_checkpoint(folder)


class _TouchesAFile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("name", ["llm.pt", "spk2info.pt"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_pickles_that_run_code_run_nothing(folder: Folder, name: str, is_zip: bool) -> None:
    marker = folder / "it-ran"
    torch.save({"weight": _TouchesAFile(marker)}, folder / name, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(BundleError, match=rf"{name} holds more than tensors"):
        load_checkpoint(folder)
    assert not marker.exists()


def test_a_whole_pickled_module_is_refused(folder: Folder) -> None:
    torch.save(nn.Linear(2, 2), folder / "llm.pt")
    with pytest.raises(BundleError, match="holds more than tensors"):
        load_checkpoint(folder)


def test_a_torchscript_program_is_refused(folder: Folder) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), folder / "llm.pt")
    with pytest.raises(BundleError, match="TorchScript"):
        load_checkpoint(folder)


def _set(name: str, value: Any) -> Change:
    def change(weights: dict[str, Any]) -> None:
        weights[name] = value

    return change


def _drop(name: str) -> Change:
    def change(weights: dict[str, Any]) -> None:
        del weights[name]

    return change


def _poison(value: float) -> Change:
    def change(weights: dict[str, Any]) -> None:
        weights["llm_decoder.bias"][3] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_drop("llm_decoder.bias"), r"lacks llm_decoder\.bias"),
        (_set("llm.extra.weight", torch.ones(1)), r"also has llm\.extra\.weight"),
        (_set("llm_decoder.bias", torch.ones(9)), r"llm_decoder\.bias: cosyvoice.yaml says \[65\], llm.pt has \[9\]"),
        (_set("step", 3), r"no dense float tensors \(step\)"),
        (_set("llm_decoder.bias", torch.ones(65, dtype=torch.int64)), r"no dense float tensors \(llm_decoder\.bias\)"),
        (_set("llm_decoder.bias", torch.ones(65).to_sparse()), r"no dense float tensors"),
        (_poison(float("nan")), r"NaN or infinite weights \(llm_decoder\.bias\)"),
        (_poison(float("inf")), r"NaN or infinite weights"),
        (lambda weights: [weights], "holds no state dict"),
        (lambda weights: {}, "holds no state dict"),
    ],
)
def test_weights_that_do_not_fit_are_named(folder: Folder, change: Change, reason: str) -> None:
    rewrite(folder / "llm.pt", change)
    with pytest.raises(BundleError, match=rf"llm\.pt .*{reason}"):
        load_checkpoint(folder)


def test_a_yaml_of_another_size_names_both_shapes(folder: Folder) -> None:
    file = folder / "cosyvoice.yaml"
    file.write_text(file.read_text("utf-8").replace("text_token_size: 97", "text_token_size: 98"), "utf-8")
    with pytest.raises(
        BundleError, match=r"text_embedding.weight: cosyvoice.yaml says \[98, 24\], llm.pt has \[97, 24"
    ):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("speakers", "reason"),
    [
        ({}, "holds no speakers"),
        ([1], "holds no speakers"),
        ({"a": torch.ones(1, 192)}, "speaker 'a' is no named set of tensors"),
        ({3: {"embedding": torch.ones(1, 192)}}, "speaker 3 is no named set"),
        ({"a": {}}, "speaker 'a' has no tensor llm_embedding"),
        ({"a": {"embedding": [1.0]}}, "has no tensor embedding"),
        ({"a": {"embedding": torch.ones(1, 512)}}, r"embedding is \[1, 512\], but cosyvoice.yaml says .*192"),
        ({"a": {"embedding": torch.full((1, 192), torch.nan)}}, "not finite"),
        ({"a": {"embedding": torch.ones(1, 192, dtype=torch.int64)}}, "int64"),
        ({"a": {"embedding": torch.zeros(1, 192)}}, "zero everywhere"),
    ],
)
def test_malformed_speakers_are_named(folder: Folder, speakers: Any, reason: str) -> None:
    torch.save(speakers, folder / "spk2info.pt")
    with pytest.raises(BundleError, match=rf"spk2info\.pt.*{reason}"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("prompt_text", None, "has no tensor prompt_text"),
        ("prompt_text", torch.tensor([[97]]), r"prompt_text has ids outside 0\.\.96"),
        ("prompt_text", torch.ones(1, 3), "not whole numbers"),
        ("llm_prompt_speech_token", torch.tensor([[1, 2, 3]]), "different llm_prompt_speech_token"),
        ("flow_embedding", torch.full((1, 192), 2.0), "different llm_embedding"),
        ("prompt_speech_feat", torch.ones(1, 7, 40), r"prompt_speech_feat is \[1, 7, 40\], not \[1, frames, 80\]"),
        ("prompt_speech_feat", torch.ones(1, 0, 80), "2 prompt tokens but 0 prompt mel frames"),
    ],
)
def test_malformed_prompts_are_named(folder: Folder, key: str, value: Any, reason: str) -> None:
    speaker: dict[str, Any] = {
        "prompt_text": torch.tensor([[5, 6]]),
        "llm_prompt_speech_token": torch.tensor([[1, 2]]),
        "flow_prompt_speech_token": torch.tensor([[1, 2]]),
        "prompt_speech_feat": torch.ones(1, 7, 80),
        "llm_embedding": torch.ones(1, 192),
        "flow_embedding": torch.ones(1, 192),
    }
    torch.save({"guest": speaker}, folder / "spk2info.pt")
    assert load_checkpoint(folder).voices[0].prompt is not None
    torch.save({"guest": speaker | {key: value}}, folder / "spk2info.pt")
    with pytest.raises(BundleError, match=rf"speaker 'guest' .*{reason}"):
        load_checkpoint(folder)
