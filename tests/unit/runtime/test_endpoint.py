"""The endpoints of Lambda without botocore's file of all endpoints: the same addresses, in a fraction of the time."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointVariantError
from botocore.loaders import JSONFileLoader, create_loader
from botocore.regions import EndpointResolver

from durable_execution.runtime.endpoint import _endpoints_in, make_client

COMPARED = ("hostname", "protocols", "signatureVersions", "credentialScope", "partition")


def regions() -> Iterator[str]:
    for partition in create_loader().load_data("partitions")["partitions"]:
        yield from partition["regions"]


def known(resolver: Any, region: str, *, fips: bool, dual: bool) -> dict[str, Any] | None:
    try:
        found = resolver.construct_endpoint("lambda", region, use_fips_endpoint=fips, use_dualstack_endpoint=dual)
    except EndpointVariantError:
        return None
    return found and {name: found.get(name) for name in COMPARED}


def test_derived_endpoints_are_those_of_the_file() -> None:
    loader = create_loader()
    whole = EndpointResolver(loader.load_data("endpoints"))
    derived = EndpointResolver(
        {"partitions": [_endpoints_in(each) for each in loader.load_data("partitions")["partitions"]]}
    )
    compared = 0
    for region, fips, dual in itertools.product(regions(), (False, True), (False, True)):
        expected = known(whole, region, fips=fips, dual=dual)
        if expected is not None:  # the rules refuse a variant that a partition does not have
            assert known(derived, region, fips=fips, dual=dual) == expected, (region, fips, dual)
            compared += 1
    assert compared > 150


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noted(self: Any, path: str) -> Any:
        found = load(self, path)
        if found is not None:
            read.append(Path(path).name)
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_DATA_PATH", raising=False)
    monkeypatch.delitem(sys.modules, "boto3", raising=False)  # another test's default session has a loader of its own
    return read


@pytest.mark.parametrize(
    ("region", "is_read", "url"),
    [
        ("eu-central-1", False, "https://lambda.eu-central-1.amazonaws.com"),
        ("cn-north-1", False, "https://lambda.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", False, "https://lambda.us-gov-west-1.amazonaws.com"),
        ("fips-us-east-1", True, "https://lambda-fips.us-east-1.amazonaws.com"),
    ],
)
def test_the_file_is_read_only_for_regions_that_no_partition_names(
    monkeypatch: pytest.MonkeyPatch, files_read: list[str], region: str, is_read: bool, url: str
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_REGION", region)
    assert make_client().meta.endpoint_url == url
    assert ("endpoints" in files_read) is is_read


def test_a_file_of_the_user_is_read(monkeypatch: pytest.MonkeyPatch, files_read: list[str], tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps(create_loader().load_data("endpoints")), encoding="utf-8")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    files_read.clear()
    make_client()
    assert "endpoints" in files_read
