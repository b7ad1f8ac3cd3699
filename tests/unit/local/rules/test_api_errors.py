"""The engine's errors are those of the service model, as botocore would raise them."""

import pytest
from botocore.loaders import Loader

from durable_execution.errors import ServiceError
from durable_execution.local.rules.api_errors import CAPITAL_MESSAGE, STATUS_CODES, ApiError, fault, unknown_execution

SHAPES = Loader().load_service_model("lambda", "service-2", "2015-03-31")["shapes"]
NOT_MODELLED = {"AccessDeniedException": 403, "RequestTimeoutException": 408}
"""Errors that every AWS service has, so that no model lists them."""


def test_every_code_has_the_status_of_the_service_model() -> None:
    modelled = {code: SHAPES[code]["error"]["httpStatusCode"] for code in STATUS_CODES if code not in NOT_MODELLED}
    assert modelled | NOT_MODELLED == STATUS_CODES


def test_the_text_of_an_error_is_in_the_member_that_the_service_model_names() -> None:
    capital = {code for code in STATUS_CODES if code in SHAPES and "Message" in SHAPES[code]["members"]}
    assert capital == CAPITAL_MESSAGE


@pytest.mark.parametrize("code", STATUS_CODES)
def test_an_error_reads_like_one_of_boto3(code: str) -> None:
    error = fault(code, "no")
    assert isinstance(error, ServiceError)
    assert type(error) is type(fault(code, "other")) is ApiError.of(code)
    assert (type(error).__name__, error.code, error.message) == (code, code, "no")
    assert error.response["Error"] == {"Code": code, "Message": "no"}
    metadata = error.response["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], metadata["RetryAttempts"]) == (STATUS_CODES[code], 0)
    assert error.response["Type"] == ("Service" if code == "ServiceException" else "User")


def test_an_error_without_a_status_is_the_services() -> None:
    assert ApiError("Odd", "no").response["Type"] == "Service"
    assert ApiError("Odd", "no", status=499).response["Type"] == "User"


def test_an_unknown_execution_is_not_found() -> None:
    error = unknown_execution("arn:x")
    assert (error.code, error.status) == ("ResourceNotFoundException", 404)
    assert error.message == "Durable execution not found: arn:x"
