"""Where large text is kept: a directory, and S3 as botocore has it."""

import io
import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from durable_execution.errors import InvocationError, SerializationError
from durable_execution.serdes import DirectoryStore, S3Store


class TestDirectoryStore:
    def test_what_is_kept_is_found(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path / "made" / "when-needed")
        store.put("execution/operation", b"\x00\xff")
        assert store.get("execution/operation") == b"\x00\xff"

    def test_nothing_half_written_is_left(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.put("a/b", b"1")
        store.put("a/b", b"1")
        assert [file.name for file in (tmp_path / "a").iterdir()] == ["b"]

    def test_what_is_missing_says_why_that_may_be(self, tmp_path: Path) -> None:
        with pytest.raises(SerializationError, match="deleted although the execution still needs it"):
            DirectoryStore(tmp_path).get("a/b")

    @pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd"])
    def test_a_key_cannot_lead_out(self, tmp_path: Path, key: str) -> None:
        store = DirectoryStore(tmp_path / "inside")
        with pytest.raises(SerializationError, match="points outside"):
            store.get(key)
        with pytest.raises(SerializationError, match="points outside"):
            store.put(key, b"")

    def test_a_directory_in_the_way_is_for_good(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(SerializationError, match="cannot be written"):
            DirectoryStore(tmp_path).put("a/b", b"")

    def test_a_full_disk_is_worth_a_retry(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(self: Path, target: Path) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(InvocationError, match="cannot be written at the moment"):
            DirectoryStore(tmp_path).put("a/b", b"")
        assert list((tmp_path / "a").iterdir()) == []

    def test_it_is_named_by_its_path(self, tmp_path: Path) -> None:
        assert str(tmp_path) in repr(DirectoryStore(tmp_path))


class TestS3Store:
    @pytest.fixture
    def client(self) -> Any:
        return boto3.client("s3", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")

    def test_what_is_kept_is_found(self, client: Any) -> None:
        store = S3Store("bucket", prefix="durable/", client=client, put_options={"ServerSideEncryption": "aws:kms"})
        wanted = {"Bucket": "bucket", "Key": "durable/a/b"}
        with Stubber(client) as stub:
            stub.add_response("put_object", {}, {**wanted, "Body": b"data", "ServerSideEncryption": "aws:kms"})
            stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"data"), 4)}, wanted)
            store.put("a/b", b"data")
            assert store.get("a/b") == b"data"
            stub.assert_no_pending_responses()

    @pytest.mark.parametrize(
        ("code", "status", "expected", "said"),
        [
            ("NoSuchKey", 404, SerializationError, "lifecycle rule"),
            ("NoSuchBucket", 404, SerializationError, "does not exist"),
            ("AccessDenied", 403, SerializationError, "Grant the function's role"),
            ("SlowDown", 503, InvocationError, "cannot read"),
            ("InternalError", 500, InvocationError, "cannot read"),
            ("Throttling", 400, InvocationError, "cannot read"),
            ("ThrottlingException", 400, InvocationError, "cannot read"),
            ("RequestTimeout", 400, InvocationError, "cannot read"),
            ("ExpiredToken", 400, InvocationError, "cannot read"),
            ("OperationAborted", 409, InvocationError, "cannot read"),
            ("RequestTimeTooSkewed", 403, InvocationError, "cannot read"),
            ("PermanentRedirect", 301, SerializationError, "in a different region"),
            ("AuthorizationHeaderMalformed", 400, SerializationError, "in a different region"),
            ("InvalidAccessKeyId", 403, SerializationError, "Grant the function's role"),
        ],
    )
    def test_what_s3_says_is_told_apart(
        self, client: Any, code: str, status: int, expected: type[Exception], said: str
    ) -> None:
        store = S3Store("bucket", client=client)
        with Stubber(client) as stub:
            stub.add_client_error("get_object", code, http_status_code=status)
            with pytest.raises(expected, match=said) as raised:
                store.get("a/b")
        assert "s3://bucket/a/b" in str(raised.value)

    def test_a_network_that_does_not_answer_is_worth_a_retry(self) -> None:
        class Unreachable:
            def put_object(self, **options: Any) -> None:
                raise EndpointConnectionError(endpoint_url="https://s3")

        with pytest.raises(InvocationError, match="cannot write s3://bucket/a/b at the moment"):
            S3Store("bucket", client=Unreachable()).put("a/b", b"")

    def test_missing_credentials_are_not_worth_a_retry(self) -> None:
        class Unconfigured:
            def put_object(self, **options: Any) -> None:
                raise NoCredentialsError

        with pytest.raises(SerializationError, match="Unable to locate credentials"):
            S3Store("bucket", client=Unconfigured()).put("a/b", b"")

    def test_it_is_named_by_its_bucket(self) -> None:
        assert repr(S3Store("bucket", prefix="p/")) == "S3Store('bucket', prefix='p/')"
