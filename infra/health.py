"""Asks servers whether they are well. Standard library only.

`python -m infra.health URL` ends with 0 when the page comes, else with 1 and the reason on stderr.
"""

import http.client
import sys
import urllib.error
import urllib.request


def request_error(url: str, timeout: float = 5.0) -> Exception | None:
    """Ask for a page and return why it does not come: an HTTPError for an answer other than success; None: it comes.

    `timeout` is in seconds.
    """
    try:
        urllib.request.urlopen(url, timeout=timeout).close()  # noqa: S310  http(s) only
    except (OSError, http.client.HTTPException) as error:  # URLError and TimeoutError are OSErrors
        return error
    return None


def mlflow_error(uri: str, timeout: float = 5.0) -> Exception | None:
    """Return why the MLflow server at `uri` cannot be used; None: it answers.

    A refusal below 500 is an answer: MLflow's client may have a token that this question lacks.
    """
    error = request_error(f"{uri.rstrip('/')}/health", timeout)
    if isinstance(error, urllib.error.HTTPError) and error.code < 500:
        return None
    return error


if __name__ == "__main__":
    if reason := request_error(sys.argv[1]):
        sys.exit(f"{sys.argv[1]}: {reason}")
