"""Objects by obstore: S3 and what speaks like it, Google's and Azure's stores, web servers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import obstore
from obstore.store import from_url

from ns2.pipeline.remote.faults import ExistsError

_ENDPOINT = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
_CONNECT, _READ = timedelta(seconds=5), timedelta(seconds=60)


class ObstoreStore:
    """Objects below a URL, by obstore; it does not try again, since `persist` does."""

    conditional = True

    def __init__(self, url: str, endpoint: str) -> None:
        """Open a store; nothing is asked of the server.

        Args:
            endpoint: the server of S3, "" for Amazon's.

        Raises:
            ValueError: it is no URL, which obstore would meet with a panic.
        """
        if url.startswith("s3") and endpoint and _ENDPOINT.fullmatch(endpoint) is None:
            raise ValueError(
                f"AWS_ENDPOINT_URL is {endpoint}, expected https:// or http:// and a server, such "
                "as http://127.0.0.1:9000"
            )
        plain = endpoint.startswith("http:") or url.startswith("http:")
        options: dict[str, Any] = {
            "client_options": {
                "allow_http": plain,
                "connect_timeout": _CONNECT,
                "timeout": _READ,
            },
            "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        }
        if url.startswith("s3") and (provider := _profile()) is not None:
            options["credential_provider"] = provider
        self._store: Any = from_url(_escaped(url), **options)
        self._by_version = url.startswith("gs")

    def get(self, name: str, begin: int, end: int | None) -> bytes:
        """See `Store.get`."""
        if end is not None:
            return bytes(obstore.get_range(self._store, name, start=begin, end=end))
        chosen: Any = {"range": {"offset": begin}} if begin else None
        return bytes(obstore.get(self._store, name, options=chosen).bytes())

    def tagged(self, name: str, begin: int, end: int | None) -> tuple[bytes, int, str]:
        """See `Store.tagged`."""
        part: Any = {"offset": begin} if end is None else (begin, end)
        chosen: Any = {"range": part} if begin or end is not None else None
        found = obstore.get(self._store, name, options=chosen)
        return bytes(found.bytes()), int(found.meta["size"]), _tag(found.meta)

    def size(self, name: str) -> tuple[int, str]:
        """See `Store.size`."""
        found = obstore.head(self._store, name)
        return int(found["size"]), _tag(found)

    def put(self, name: str, data: bytes, *, create: bool, tag: str) -> str:
        """See `Store.put`."""
        mode: Any = self._is(name, tag) if tag else "create" if create else "overwrite"
        # conditions go with one request only, and so do most objects
        single = bool(create or tag) or len(data) < _PARTS
        done = obstore.put(self._store, name, data, mode=mode, use_multipart=not single)
        return str(done["e_tag"] or "")

    def _is(self, name: str, tag: str) -> dict[str, str]:
        """The condition that an object has a tag still; Google's store asks for its version.

        Raises:
            ExistsError: it has another one.
        """
        if not self._by_version:
            return {"e_tag": tag}
        found = obstore.head(self._store, name)
        if _tag(found) != tag:
            raise ExistsError(f"{name} is another one by now")
        return {"e_tag": tag, "version": str(found["version"])}

    def put_file(self, name: str, path: Path, *, create: bool) -> str:
        """See `Store.put_file`."""
        parts = path.stat().st_size >= _PARTS
        mode: Any = "create" if create and not parts else "overwrite"
        done = obstore.put(self._store, name, path, use_multipart=parts, mode=mode)
        return str(done["e_tag"] or "")

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        obstore.delete(self._store, name)

    def names(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """See `Store.names`."""
        for page in obstore.list(self._store, prefix=prefix or None):
            for one in page:
                yield str(one["path"]), int(one["size"]), _tag(one)


def _escaped(url: str) -> str:
    """A URL in which %, ? and # of names stand for themselves, as they do for other programs.

    The address of a web page, where they have a meaning, stays as it is.
    """
    scheme, _, rest = url.partition("://")
    host, slash, name = rest.partition("/")
    return url if scheme.startswith("http") else f"{scheme}://{host}{slash}{quote(name)}"


def _tag(about: Any) -> str:
    """The tag of an object, the same of a list, which may lack quotes, as of the object."""
    tag = about["e_tag"]
    if not tag:
        return str(about["last_modified"])
    return str(tag) if '"' in tag else f'"{tag}"'


_PARTS = 256 << 20
"""Objects from so many bytes on are put in parts."""


def _profile() -> Any:
    """Credentials of a profile, where the environment has no key; None where obstore finds them."""
    named = os.environ.get("AWS_PROFILE")
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials"
    given = any(os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE"))
    if given or not (named or Path(file).is_file()):
        return None
    from obstore.auth.boto3 import Boto3CredentialProvider

    return Boto3CredentialProvider()
