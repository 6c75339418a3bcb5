"""The errors that ns2 raises for utterances, options and inputs that can't be used."""

from __future__ import annotations

from ns2.pipeline.core.schema import Reason


class UtteranceError(Exception):
    """An utterance can't be used. Stages raise it, and only that utterance is rejected."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[UtteranceError], tuple[Reason, str]]:
        return type(self), (self.reason, self.message)


class UserError(Exception):
    """Something that a user can put right; the message says how. The exit code is 1."""


class OptionError(UserError):
    """An option has an impossible value, or does not go with another. The exit code is 2."""


class DamageError(UserError, ValueError):
    """Something in a dataset is not what was written, or not what its format says."""
