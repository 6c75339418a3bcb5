"""Errors that say what is wrong with an utterance, an option or an input."""

from __future__ import annotations

from ns2.pipeline.core.schema import Reason


class UtteranceError(Exception):
    """An utterance can't be used; raised by stages, it costs that utterance only."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[UtteranceError], tuple[Reason, str]]:
        return type(self), (self.reason, self.message)


class UserError(Exception):
    """Something a user can put right; the message says how. The command line exits with 1."""


class OptionError(UserError):
    """An option has a value that it can't have; the command line exits with 2."""
