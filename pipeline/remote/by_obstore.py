"""Objects by obstore: S3 and what speaks like it, Google's and Azure's stores, web servers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.store import from_url

_ENDPOINT = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)
_CONNECT, _READ = timedelta(seconds=5), timedelta(seconds=60)


class ObstoreStore:
    """Objects below a URL, by obstore; it does not try again, since `persist` does."""

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
        self._store: Any = from_url(url, **options)

    def get(self, name: str, begin: int, end: int | None) -> bytes:
        """See `Store.get`."""
        if end is not None:
            return bytes(obstore.get_range(self._store, name, start=begin, end=end))
        chosen: Any = {"range": {"offset": begin}} if begin else None
        return bytes(obstore.get(self._store, name, options=chosen).bytes())

    def size(self, name: str) -> tuple[int, str]:
        """See `Store.size`."""
        found = obstore.head(self._store, name)
        return int(found["size"]), str(found["e_tag"] or found["last_modified"])

    def put(self, name: str, data: bytes, *, create: bool, tag: str) -> str:
        """See `Store.put`."""
        mode: Any = {"e_tag": tag} if tag else "create" if create else "overwrite"
        # conditions go with one request only, and so do most objects
        single = bool(create or tag) or len(data) < _PARTS
        done = obstore.put(self._store, name, data, mode=mode, use_multipart=not single)
        return str(done["e_tag"] or "")

    def put_file(self, name: str, path: Path) -> str:
        """See `Store.put_file`."""
        parts = path.stat().st_size >= _PARTS
        done = obstore.put(self._store, name, path, use_multipart=parts)
        return str(done["e_tag"] or "")

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        obstore.delete(self._store, name)

    def names(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """See `Store.names`."""
        for page in obstore.list(self._store, prefix=prefix or None):
            for one in page:
                yield str(one["path"]), int(one["size"]), str(one["e_tag"] or one["last_modified"])


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
