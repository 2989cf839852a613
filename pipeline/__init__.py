"""CosyVoice-300M speech synthesis on CPUs: a library that knows no Ray."""

__version__ = "0.1.0"
