"""Makes buckets of the S3 store that the environment names: `python -m infra.setup.buckets NAME...`.

The address is AWS_ENDPOINT_URL_S3, credentials are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as boto3 reads them.
"""

import sys
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from infra.storage.s3_remote import s3_client

OURS = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
TIMEOUT = 30.0
"""Seconds for a connection, and for an answer."""
REMEDY = "check AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def make_buckets(names: Sequence[str]) -> None:
    """Make each bucket that is not there yet.

    Raises:
        RuntimeError: The store does not answer or refuses; says which bucket, what was said, and the remedy.
    """
    client = s3_client(None, TIMEOUT, TIMEOUT)
    for name in names:
        try:
            client.create_bucket(Bucket=name)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] in OURS:
                continue
            raise RuntimeError(f"bucket {name} cannot be made: {error}; {REMEDY}") from error


if __name__ == "__main__":
    try:
        make_buckets(sys.argv[1:])
    except RuntimeError as refusal:
        sys.exit(str(refusal))
