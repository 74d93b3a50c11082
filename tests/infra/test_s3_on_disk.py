"""What the S3 server that can be killed still has after it."""

from pathlib import Path

import pytest

from tests.infra.s3_on_disk import S3Process

NAME = "größe/50% #1?+&.bin"


@pytest.mark.slow(seconds=8)
@pytest.mark.usefixtures("s3_credentials")
def test_killed_server_has_what_it_acknowledged_and_nothing_that_was_deleted(tmp_path: Path) -> None:
    with S3Process(tmp_path / "server") as server:
        client = server.client()
        client.create_bucket(Bucket="kept")
        for key in ("one", "two", "three", NAME):
            client.put_object(Bucket="kept", Key=key, Body=key.encode())
        client.delete_object(Bucket="kept", Key="one")
        client.delete_objects(Bucket="kept", Delete={"Objects": [{"Key": "two"}]})
        started = client.create_multipart_upload(Bucket="kept", Key="never")
        client.upload_part(Bucket="kept", Key="never", PartNumber=1, UploadId=started["UploadId"], Body=b"half")
        url = server.url
        server.kill()
        server.start()
        assert server.url == url
        found = server.client().list_objects_v2(Bucket="kept")["Contents"]
        assert sorted(item["Key"] for item in found) == sorted(["three", NAME])
        assert server.client().get_object(Bucket="kept", Key=NAME)["Body"].read() == NAME.encode()
        assert f"PUT /kept/{NAME}" in server.acknowledged()
