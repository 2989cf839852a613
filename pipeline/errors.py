"""The errors a caller can meet, as one tree under TTSError.

Each takes one positional message, so that it pickles across processes, and names the bad value and the cure.
`code` is stable and machine-readable. The library knows no HTTP: `deployments.api` maps codes to statuses.
"""

from __future__ import annotations

from typing import ClassVar


class TTSError(Exception):
    """Base of every error that is meant for the caller."""

    code: ClassVar[str] = "internal_error"

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else self.code


class InvalidRequest(TTSError):
    code = "invalid_request"


class TextTooLong(InvalidRequest):
    code = "text_too_long"


class VoiceNotFound(TTSError):
    code = "voice_not_found"


class ModelNotFound(TTSError):
    code = "model_not_found"


class UnsupportedFormat(InvalidRequest):
    code = "unsupported_format"


class Overloaded(TTSError):
    """The queue is full: try again later."""

    code = "overloaded"


class DeadlineExceeded(TTSError):
    code = "deadline_exceeded"


class StageFailed(TTSError):
    """A stage failed while it worked on this request; others are not affected."""

    code = "stage_failed"


class LexiconUnavailable(StageFailed):
    """The store of the user lexicon cannot be reached; texts are read with the entries that are known."""

    code = "lexicon_unavailable"


class BundleError(TTSError):
    """A bundle or checkpoint is missing, incomplete or damaged."""

    code = "bundle_error"


class MissingExtra(TTSError):
    """An optional dependency is not installed; the message names the extra."""

    code = "missing_extra"
