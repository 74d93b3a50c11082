"""Puts files into an S3 bucket, by boto3. It does not retry."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore import exceptions as s3_errors

from infra.storage.s3_remote import other_errors, s3_client, s3_error

PART_BYTES = 64 * 2**20
"""Larger files travel in parts of this size; S3 takes 10,000 of them."""
TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
STALE = timedelta(days=1)
"""An upload in parts that began so long ago has been left by a process that was killed."""
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0


@dataclass(frozen=True)
class S3Uploads:
    """A prefix of a bucket. Threads may share it."""

    url: str
    """s3://bucket/prefix."""
    endpoint_url: str | None
    """Address of the service; None: Amazon's."""

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None: there is none.

        This and the others raise ConnectionError, ServerBusyError, PermissionError, or OSError for other answers.
        """
        try:
            with self._answers():
                return int(self._client.head_object(**self._where(key))["ContentLength"])
        except FileNotFoundError:
            return None

    def put(self, path: Path, key: str) -> None:
        """Copy a file there, whole or not at all: boto3 removes the parts of an upload that breaks."""
        with self._answers():
            self._client.upload_file(str(path), *self._where(key).values(), Config=TRANSFER)

    def delete(self, key: str) -> None:
        """Remove a file; none need be there."""
        with self._answers():
            self._client.delete_object(**self._where(key))

    def check(self) -> None:
        """Remove the parts that uploads of more than a day ago have left. Raises OSError for what cannot be used."""
        before = datetime.now(UTC) - STALE
        with self._answers():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._where("")["Key"]
            )
            left = [row for page in pages for row in page.get("Uploads", []) if row["Initiated"] < before]
            for row in left:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=row["Key"], UploadId=row["UploadId"])

    @property
    def _bucket(self) -> str:
        return self.url.removeprefix("s3://").partition("/")[0]

    def _where(self, key: str) -> dict[str, str]:
        prefix = self.url.removeprefix("s3://").partition("/")[2].strip("/")
        return {"Bucket": self._bucket, "Key": f"{prefix}/{key}".lstrip("/")}

    @cached_property
    def _client(self) -> Any:
        return s3_client(self.endpoint_url, CONNECT_TIMEOUT, READ_TIMEOUT)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn what boto3 raises into errors of the standard library."""
        try:
            with other_errors():
                yield
        except s3_errors.ClientError as error:
            raise s3_error(error, self._bucket) from error
        except S3UploadFailedError as error:
            cause = error.__cause__ or error.__context__
            raise (
                s3_error(cause, self._bucket) if isinstance(cause, s3_errors.ClientError) else OSError(str(error))
            ) from error
