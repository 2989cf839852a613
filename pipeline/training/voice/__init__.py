"""The recipe of the bundled voice: text, teacher audio, speech tokens, language model, flow, vocoder, evaluation."""
