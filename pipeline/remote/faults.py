"""What goes wrong between here and a bucket, and what the user can do about it."""

from __future__ import annotations

import re

from ns2.pipeline.core.errors import UserError

_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_STATUS = re.compile(r"status(?: code)?:? *\(?([1-5][0-9][0-9])")


class RemoteError(UserError):
    """A place that is no folder of this machine can't be reached or used; the message says why."""


class MissingError(RemoteError):
    """There is no object of this name."""


class ExistsError(RemoteError):
    """There is an object of this name already."""


class NoRangesError(RemoteError):
    """A server answers a request for a part with something else."""


_CLOCK = (
    "{url}: the server does not accept the time of this machine's clock ({code}): set the clock, "
    "for example with `timedatectl set-ntp true`"
)
_CREDENTIALS = (
    "{url}: the server does not accept the credentials ({code}): look at AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_PROFILE"
)
_PERMISSION = (
    "{url}: access is denied ({code}). Credentials must allow reading it, and writing where it is "
    "written to; for a public bucket set AWS_SKIP_SIGNATURE=true"
)
_MISSING_BUCKET = (
    "{url}: there is no such bucket; look at its name, AWS_REGION and AWS_ENDPOINT_URL"
)
_MESSAGES = {
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "AccessDenied": _PERMISSION,
    "AllAccessDisabled": _PERMISSION,
    "NoSuchBucket": _MISSING_BUCKET,
}
"""Messages by the code that a server of S3 gives."""


def lasting_fault(error: Exception, url: str) -> RemoteError | None:
    """The error to raise where trying again can't help; None where it may.

    Args:
        error: of obstore or fsspec.
        url: of the object.
    """
    if isinstance(error, RemoteError):
        return error
    text, kind = str(error), type(error).__name__
    code = found[1] if (found := _CODE.search(text)) else ""
    if code in _MESSAGES:
        return RemoteError(_MESSAGES[code].format(url=url, code=code))
    status = found[1] if (found := _STATUS.search(text)) else ""
    if kind == "NotFoundError" or isinstance(error, FileNotFoundError) or status == "404":
        return MissingError(f"{url} is not there")
    if kind in ("AlreadyExistsError", "PreconditionError") or status in ("409", "412"):
        return ExistsError(f"{url} is there already")
    if kind == "UnauthenticatedError" or status == "401":
        return RemoteError(_CREDENTIALS.format(url=url, code=code or "401"))
    if kind == "PermissionDeniedError" or isinstance(error, PermissionError) or status == "403":
        return RemoteError(_PERMISSION.format(url=url, code=code or "403"))
    if "CredentialProvider" in text or "NoCredentials" in text or "instance credentials" in text:
        return RemoteError(
            f"{url}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    if "non-partial response" in text or (kind == "NotSupportedError" and "ange" in text):
        return no_ranges(url)
    if "put_opts" in text or status in ("405", "501"):  # a web server, which has no such request
        return RemoteError(
            f"{url}: a dataset can't be written to a place of this kind; name a bucket, such as "
            "s3://bucket/shards, or a folder"
        )
    if isinstance(error, (TypeError, AttributeError, ImportError, NotImplementedError)):
        return RemoteError(f"{url}: {brief(error)}")
    return None


def no_ranges(url: str) -> NoRangesError:
    """The error where a server ignores that only a part of an object is asked for."""
    return NoRangesError(
        f"{url}: the server does not send parts of files (byte ranges), which ns2 needs. Use one "
        "that does, such as nginx, or copy the dataset to a disk"
    )


def brief(error: Exception) -> str:
    """An error of a library on one line, without what it prints for debugging."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
