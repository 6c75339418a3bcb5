"""What goes wrong between here and a bucket, and what the user can do about it."""

from __future__ import annotations

import re

from ns2.pipeline.core.errors import UserError

_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_STATUS = re.compile(r"status(?: code)?:? *\(?([1-5][0-9][0-9])")
_MACHINE = re.compile(r"169\.254\.169\.254|metadata\.google")
"""Where machines of a cloud ask for credentials, if none are set."""
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(?:Other\(\s*OtherError\(\s*)?(\w+)")


class RemoteError(UserError):
    """A place that is no folder of this machine can't be reached or used; the message says why."""


class MissingError(RemoteError):
    """There is no object of this name."""


class ExistsError(RemoteError):
    """There is an object of this name already."""


class ShortError(RemoteError):
    """An object ends before the bytes that are asked for."""


class NoRangesError(RemoteError):
    """A server answers a request for a part with something else."""


_CLOCK = (
    "{url}: the server does not accept the time of this machine's clock ({code}): set the clock, "
    "for example with `timedatectl set-ntp true`"
)
_CREDENTIALS = "{url}: the server does not accept the credentials ({code}): {hint}"
_PERMISSION = (
    "{url}: access is denied ({code}). Credentials must allow reading it, and writing where it is "
    "written to: {hint}"
)
_NO_CREDENTIALS = "{url}: there are no credentials: {hint}"
_HINTS = {
    "s3": (
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with AWS_SESSION_TOKEN where they need one, "
        "or AWS_PROFILE hold them; for a public bucket set AWS_SKIP_SIGNATURE=true"
    ),
    "gs": (
        "GOOGLE_SERVICE_ACCOUNT names the file that holds them; for a public bucket set "
        "GOOGLE_SKIP_SIGNATURE=true"
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY hold them; for a public "
        "container set AZURE_SKIP_SIGNATURE=true"
    ),
    "ht": "ns2 sends none to web servers",
}
"""Where credentials are, by the beginning of a URL."""
_MISSING_BUCKET = (
    "{url}: there is no such bucket; look at its name, and for S3 at AWS_REGION and "
    "AWS_ENDPOINT_URL"
)
_UNTRUSTED = (
    "{url}: the certificate of the server is not accepted ({code}): look at this machine's clock, "
    "and at the certificates that it trusts, for which SSL_CERT_FILE may name a file"
)
_REGION = (
    "{url}: the bucket lies in another region ({code}); set AWS_REGION to it, or AWS_ENDPOINT_URL "
    "if it is on another server than Amazon's"
)
_NAME = "{url}: the server knows no such names ({code}); look at the bucket's and the object's"
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
    "ContainerNotFound": _MISSING_BUCKET,
    "AuthenticationFailed": _CREDENTIALS,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidBucketName": _NAME,
    "KeyTooLongError": _NAME,
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
    hint = _hint(url)
    if code in _MESSAGES:
        return RemoteError(_MESSAGES[code].format(url=url, code=code, hint=hint))
    status = found[1] if (found := _STATUS.search(text)) else ""
    if (_MACHINE.search(text) and status.startswith("4")) or "NoCredentials" in text:
        return RemoteError(_NO_CREDENTIALS.format(url=url, hint=hint))
    if (wrong := _CERTIFICATE.search(text)) is not None:
        return RemoteError(_UNTRUSTED.format(url=url, code=wrong[1]))
    if kind == "NotFoundError" or isinstance(error, FileNotFoundError) or status == "404":
        return MissingError(f"{url} is not there")
    if kind in ("AlreadyExistsError", "PreconditionError") or status in ("409", "412"):
        return ExistsError(f"{url} is there already")
    if kind == "UnauthenticatedError" or status == "401":
        return RemoteError(_CREDENTIALS.format(url=url, code=code or "401", hint=hint))
    if kind == "PermissionDeniedError" or isinstance(error, PermissionError) or status == "403":
        return RemoteError(_PERMISSION.format(url=url, code=code or "403", hint=hint))
    if "configured region" in text:  # of an answer without a body
        return RemoteError(_REGION.format(url=url, code=status or "redirected"))
    if status == "416":
        return too_short(url)
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


def gave_up(error: Exception, url: str, tries: int) -> RemoteError:
    """The error where all of so many tries failed; `error` is the last one's."""
    if _MACHINE.search(str(error)):
        return RemoteError(_NO_CREDENTIALS.format(url=url, hint=_hint(url)))
    return RemoteError(
        f"{url} can't be reached, tried {tries} times: {brief(error)}. What is written stays: run "
        "again once the connection is there"
    )


def _hint(url: str) -> str:
    return _HINTS.get(url[:2], _HINTS["az"] if url.startswith(("adl", "abfs")) else "look at them")


def too_short(url: str) -> ShortError:
    """The error where an object ends before the bytes that are asked for."""
    return ShortError(
        f"{url} ends before the bytes that are asked for: it was cut off or replaced. Put the "
        "right one there"
    )


def no_ranges(url: str) -> NoRangesError:
    """The error where a server ignores that only a part of an object is asked for."""
    return NoRangesError(
        f"{url}: the server does not send parts of files (byte ranges), which ns2 needs. Use one "
        "that does, such as nginx, or copy the dataset to a disk"
    )


def reason(error: Exception) -> str:
    """What was wrong with the answer to a request, for people."""
    if _MACHINE.search(str(error)):
        return "no credentials are set, and this machine gives none"
    if (found := _STATUS.search(str(error))) is not None:
        return f"the server answered with code {found[1]}"
    return brief(error).rstrip(" .:")


def brief(error: Exception) -> str:
    """An error of a library on one line, without what it prints for debugging."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]} ..."
