"""The speech-token language model: text encoder, then a causal decoder over [sos, speaker, text, task, speech]."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.config import LMConfig
from pipeline.model.encoder import Encoder, KVCache

SOS, TASK = 0, 1  # rows of `llm_embedding`


class TransformerLM(nn.Module):
    """Parameter names are those of the official llm.pt."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.text_embedding = nn.Embedding(config.num_text_tokens, config.text_embedding_size)
        self.text_encoder = Encoder(config.text_encoder)
        self.text_encoder_affine_layer = nn.Linear(config.text_encoder.hidden_size, config.input_size)
        self.llm_embedding = nn.Embedding(2, config.input_size)
        self.llm = Encoder(config.decoder)
        self.llm_decoder = nn.Linear(config.output_size, config.num_speech_tokens + 1)
        self.speech_embedding = nn.Embedding(config.num_speech_tokens, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.speaker_size, config.input_size)

    @property
    def end_token(self) -> int:
        return self.config.num_speech_tokens

    def text_encode(self, text: Tensor, lengths: Tensor) -> Tensor:
        """text i64 [B, N], lengths i64 [B] -> f32 [B, N, input_size]."""
        encoded: Tensor = self.text_encoder_affine_layer(self.text_encoder(self.text_embedding(text), lengths))
        return encoded

    def prefill_input(self, text: Tensor, speaker: Tensor | None, prompt_tokens: Tensor | None = None) -> Tensor:
        """What the decoder reads before the first generated token: f32 [B, 3 + N + P, input_size].

        text i64 [B, N], a prompt's text included in front; speaker f32 [B, speaker_size], or None to leave it out
        (one position less); prompt_tokens i64 [B, P].
        """
        num_sequences, num_text = text.shape
        lengths = torch.full((num_sequences,), num_text, device=text.device)
        sos, task = self.llm_embedding.weight[:, None, None].expand(-1, num_sequences, -1, -1)
        parts = [sos, self.text_encode(text, lengths), task]
        if speaker is not None:
            parts.insert(1, self.spk_embed_affine_layer(F.normalize(speaker, dim=1))[:, None])
        if prompt_tokens is not None:
            parts.append(self.speech_embedding(prompt_tokens))
        return torch.cat(parts, dim=1)

    def step(self, x: Tensor, cache: KVCache | None = None) -> tuple[Tensor, KVCache]:
        """x f32 [B, T, input_size] after the cached positions -> log probabilities f32 [B, T, tokens + 1], cache."""
        hidden, cache = self.llm.step(x, cache)
        return self.llm_decoder(hidden).log_softmax(dim=-1), cache

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """All positions at once, for training: x f32 [B, T, input_size], lengths i64 [B] -> logits f32."""
        logits: Tensor = self.llm_decoder(self.llm(x, lengths))
        return logits

    @torch.inference_mode()
    def teacher_forced(self, prefix: Tensor, tokens: Tensor) -> Tensor:
        """f32 [S, tokens + 1]: row i is the distribution before token i, one token at a time through the cache.

        prefix f32 [1, T, input_size] as `prefill_input` gives it; tokens i64 [1, S].
        """
        rows: list[Tensor] = []
        x, cache = prefix, None
        for index in range(tokens.shape[1]):
            log_probs, cache = self.step(x, cache)
            rows.append(log_probs[0, -1])
            x = self.speech_embedding(tokens[:, index : index + 1])
        return torch.stack(rows)

    @torch.inference_mode()
    def greedy(self, prefix: Tensor, num_tokens: int, min_tokens: int) -> Tensor:
        """The likeliest tokens, i64 [n], n <= num_tokens; the end token is barred for the first `min_tokens`."""
        tokens: list[int] = []
        x, cache = prefix, None
        while len(tokens) < num_tokens:
            log_probs, cache = self.step(x, cache)
            allowed = self.end_token if len(tokens) < min_tokens else self.end_token + 1
            token = log_probs[0, -1, :allowed].argmax()
            if token == self.end_token:
                break
            tokens.append(int(token))
            x = self.speech_embedding(token[None, None])
        return torch.tensor(tokens, dtype=torch.int64)
