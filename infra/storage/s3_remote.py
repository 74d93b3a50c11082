"""Opens files of an S3 service at a byte, by boto3. It writes no file and does not retry."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
import urllib3
from botocore import exceptions as s3_errors
from botocore.config import Config

from infra.storage.body import CHUNK_BYTES, Body
from infra.storage.errors import BrokenBodyError, RateLimitError, ServerBusyError
from infra.storage.gate import Gate
from infra.storage.http_remote import BUSY, CONNECTIONS, REFUSED, innermost
from infra.storage.rate_limit import seconds_to_wait

NETWORK_ERRORS = (
    urllib3.exceptions.HTTPError,
    s3_errors.ConnectionError,
    s3_errors.HTTPClientError,
    s3_errors.IncompleteReadError,
)
"""What is raised when the connection breaks, before or within the body."""
BUSY_CODES = frozenset({"RequestTimeout", "InternalError"})
REFUSED_CODES = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "ThrottlingException"}
)
EXPIRED = "the credentials have expired; renew them (`aws sso login`, or AWS_SESSION_TOKEN with its two keys)"
WRONG_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
REGION = "the bucket lies in another region{}; set AWS_DEFAULT_REGION to it"
REMEDIES = {
    "ExpiredToken": EXPIRED,
    "ExpiredTokenException": EXPIRED,
    "TokenRefreshRequired": EXPIRED,
    "InvalidToken": EXPIRED,
    "RequestTimeTooSkewed": "the clock of this machine differs from the server's; set it (timedatectl set-ntp true)",
    "InvalidAccessKeyId": WRONG_KEYS,
    "SignatureDoesNotMatch": WRONG_KEYS,
    "AccessDenied": "these credentials may not read it, or it is not there; " + WRONG_KEYS,
    "InvalidObjectState": "it is archived; restore it first (aws s3api restore-object)",
}
"""By the code of the service's error."""
MOVED_CODES = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})


@dataclass(frozen=True)
class S3Remote:
    """Opens files of an S3 service."""

    endpoint_url: str | None
    """Address of the service; None: Amazon's."""
    connect_timeout: float
    read_timeout: float
    gate: Gate

    @cached_property
    def _client(self) -> Any:
        return s3_client(self.endpoint_url, self.connect_timeout, self.read_timeout)

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:
        """Open `s3://bucket/key` at byte `start` if it still is `version`, else at 0. The key stands as it is.

        Raises FileNotFoundError, PermissionError, ServerBusyError, BrokenBodyError, ConnectionError, or OSError for
        other answers.
        """
        bucket, _, key = url.removeprefix("s3://").partition("/")
        where = {"Bucket": bucket, "Key": key}
        server = f"s3://{bucket}"
        asked_at = time.monotonic()
        try:
            with other_errors(), whole_bodies(), self.gate.connection(server):
                asked_at = self.gate.wait(server)
                head = self._head(where)
                resumed = bool(start) and head["ETag"] == version and start < head["ContentLength"]
                span = {"Range": f"bytes={start}-"} if resumed else {}
                answer = self._client.get_object(**where, IfMatch=head["ETag"], **span)
                self.gate.accept(server)
                with closing(answer["Body"]) as body:
                    chunks = body.iter_chunks(CHUNK_BYTES)
                    yield Body(chunks, start if resumed else 0, head["ContentLength"], head["ETag"])
        except s3_errors.ClientError as error:
            raised = s3_error(error, bucket)
            if isinstance(raised, RateLimitError):
                self.gate.heed(server, _retry_after(error), is_refused=True, asked_at=asked_at)
            raise raised from error

    def _head(self, where: Mapping[str, str]) -> Any:
        """Ask for size and version. A refusal of that has no body, so that its reason is asked for by the file."""
        try:
            return self._client.head_object(**where)
        except s3_errors.ClientError as error:
            if _status(error) not in (301, 400, 401, 403, 404):
                raise
            self._client.get_object(**where)["Body"].close()
            raise


def s3_client(endpoint_url: str | None, connect_timeout: float, read_timeout: float) -> Any:
    """Return a client that does not retry; `endpoint_url` is the service's address, None: Amazon's."""
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1},
    )
    return boto3.Session().client("s3", endpoint_url=endpoint_url, config=config)


@contextmanager
def whole_bodies() -> Iterator[None]:
    """Raise BrokenBodyError for a body that is not what the service names."""
    try:
        yield
    except s3_errors.FlexibleChecksumError as error:  # also of a part, where the service names the whole's
        raise BrokenBodyError(str(error)) from error


@contextmanager
def other_errors() -> Iterator[None]:
    """Turn what boto3 raises into errors of the standard library, but for what the service itself answers."""
    try:
        yield
    except NETWORK_ERRORS as error:
        raise ConnectionError(innermost(error)) from error
    except (s3_errors.NoCredentialsError, s3_errors.PartialCredentialsError) as error:
        raise PermissionError(f"no credentials for S3 were found; {WRONG_KEYS}") from error
    except s3_errors.BotoCoreError as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _status(error: s3_errors.ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _retry_after(error: s3_errors.ClientError) -> Mapping[str, str]:
    headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    return {"Retry-After": headers.get("retry-after", "")}


def s3_error(error: s3_errors.ClientError, bucket: str) -> OSError:
    """Return what an error of the service means, as an error of the standard library with its remedy."""
    status, code = _status(error), error.response["Error"].get("Code", "")
    headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
    asked = seconds_to_wait(_retry_after(error), is_refused=True)
    raised = OSError(str(error))
    if code == "NoSuchBucket":
        raised = OSError(f"there is no bucket {bucket!r}; check its name and s3_endpoint in the profile")
    elif code == "NoSuchUpload":  # of what was sent in parts nothing is left: the whole is sent again
        raised = ServerBusyError("the server has lost an upload in parts before it was complete", asked)
    elif status == 404:
        raised = FileNotFoundError("not on the server (404)")
    elif status in REFUSED or code in REFUSED_CODES:
        raised = RateLimitError(f"the server answers {status} {code}".strip(), asked)
    elif status in BUSY or code in BUSY_CODES or status == 412:  # 412: it has changed since its version was asked for
        raised = ServerBusyError(str(error), asked)
    elif status == 301 or code in MOVED_CODES:
        region = headers.get("x-amz-bucket-region") or error.response["Error"].get("Region", "")
        raised = OSError(REGION.format(f", {region}" if region else ""))
    elif status in (401, 403) or code in REMEDIES:
        raised = PermissionError(f"the server does not allow it ({code or status}): {REMEDIES.get(code, WRONG_KEYS)}")
    return raised
