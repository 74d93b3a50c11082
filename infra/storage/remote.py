"""Opens a remote file at a byte: http(s) by requests, s3 by boto3. It writes no file and does not retry."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
import requests
import urllib3
from botocore import exceptions as s3_errors
from botocore.config import Config
from requests.adapters import HTTPAdapter

CHUNK_BYTES = 1 << 20
CONNECTIONS = 32
"""Open connections kept for reuse: at least as many as any stage downloads at once."""
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that another attempt may change."""

NETWORK_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    urllib3.exceptions.HTTPError,
    s3_errors.ConnectionError,
    s3_errors.HTTPClientError,
    s3_errors.IncompleteReadError,
)
"""What the two libraries raise when the connection breaks, before or within the body."""


class ServerBusyError(OSError):
    """The server answers that it cannot serve now; `retry_after` is how many seconds it asks to wait."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Body:
    """An open response: the bytes of the file from `start` on."""

    chunks: Iterator[bytes]
    start: int
    total: int | None
    """Size of the whole file; None: the server does not say."""
    version: str | None
    """Changes when the file does; None: the server does not say, so the file cannot be resumed."""


@dataclass(frozen=True)
class HttpRemote:
    """Opens files of web servers. A server that ignores ranges, or whose file has changed, answers from byte 0."""

    connect_timeout: float
    read_timeout: float

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        return session

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:
        """Open `url` at byte `start` if it still is `version`, else at 0.

        Raises FileNotFoundError, PermissionError, ServerBusyError, ConnectionError, or OSError for other answers.
        """
        span = {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}
        try:
            with closing(self._get(url, span)) as answer:
                _check_status(answer)
                yield _http_body(answer)
        except NETWORK_ERRORS as error:
            raise ConnectionError(_innermost(error)) from error

    def _get(self, url: str, span: Mapping[str, str]) -> requests.Response:
        headers = {"Accept-Encoding": "identity", **span}
        timeout = (self.connect_timeout, self.read_timeout)
        answer = self._session.get(url, headers=headers, stream=True, timeout=timeout)
        if answer.status_code == 416:  # the range starts at the file's end or behind it
            answer.close()
            return self._get(url, {})
        return answer


def _check_status(answer: requests.Response) -> None:
    status = f"{answer.status_code} {answer.reason}".strip()
    if answer.status_code in (404, 410):
        raise FileNotFoundError(f"not on the server ({answer.status_code})")
    if answer.status_code in (401, 403):
        raise PermissionError(f"the server does not allow it ({status})")
    if answer.status_code in BUSY:
        raise ServerBusyError(f"the server answers {status}", _seconds(answer.headers.get("Retry-After")))
    if answer.status_code not in (200, 206):
        raise OSError(f"the server answers {status}")


def _http_body(answer: requests.Response) -> Body:
    start, total = 0, answer.headers.get("Content-Length")
    if answer.status_code == 206:
        span, total = answer.headers["Content-Range"].removeprefix("bytes ").split("/")
        start = int(span.split("-")[0])
    tag = answer.headers.get("ETag")
    version = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
    size = int(total) if total and total != "*" else None
    # The bytes as they are stored: a .gz that a server labels as gzip-encoded must stay a .gz.
    return Body(answer.raw.stream(CHUNK_BYTES, decode_content=False), start, size, version)


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds; 0 where it is absent or a date, which another clock would misread."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _innermost(error: BaseException) -> str:
    """What the network said, without the wrappings of requests and urllib3."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class S3Remote:
    """Opens files of an S3 service."""

    endpoint_url: str | None
    """Address of the service; None: Amazon's."""
    connect_timeout: float
    read_timeout: float

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": 1},
        )
        return boto3.client("s3", endpoint_url=self.endpoint_url, config=config)

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:
        """Open `s3://bucket/key` at byte `start` if it still is `version`, else at 0.

        Raises FileNotFoundError, PermissionError, ServerBusyError, ConnectionError, or OSError for other answers.
        """
        place = urlsplit(url)
        where = {"Bucket": place.netloc, "Key": place.path.lstrip("/")}
        try:
            head = self._client.head_object(**where)
            resumed = bool(start) and head["ETag"] == version and start < head["ContentLength"]
            span = {"Range": f"bytes={start}-"} if resumed else {}
            answer = self._client.get_object(**where, IfMatch=head["ETag"], **span)
            with closing(answer["Body"]) as body:
                chunks = body.iter_chunks(CHUNK_BYTES)
                yield Body(chunks, start if resumed else 0, head["ContentLength"], head["ETag"])
        except s3_errors.ClientError as error:
            raise _s3_error(error) from error
        except NETWORK_ERRORS as error:
            raise ConnectionError(_innermost(error)) from error
        except s3_errors.BotoCoreError as error:
            raise OSError(f"{type(error).__name__}: {error}") from error


def _s3_error(error: s3_errors.ClientError) -> OSError:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if status == 404:
        return FileNotFoundError("not on the server (404)")
    if status in (401, 403):
        return PermissionError(f"the server does not allow it ({error})")
    if status in BUSY or status == 412:
        return ServerBusyError(str(error))
    return OSError(str(error))
