"""What an error of the Lambda API means for a reader of executions: the advice fits the error."""

import pytest
from botocore.exceptions import ClientError

from durable_execution.errors import ServiceError
from durable_execution.history.reading import UnreadableHistoryError
from durable_execution.replay.checks import load_execution
from durable_execution.replay.refusals import reading_problem

OPERATION = "GetDurableExecutionHistory"


def refusal(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, OPERATION)  # type: ignore[arg-type]  # the members that are read


@pytest.mark.parametrize(
    ("error", "beginning"),
    [
        (refusal("AccessDeniedException", 403), f"access denied: grant lambda:{OPERATION} ("),
        (refusal("ResourceNotFoundException", 404), "it does not exist any more: "),
        (refusal("ServiceException", 500), "the service failed: run the command again ("),
        (refusal("TooManyRequestsException", 429), "the service failed: run the command again ("),
        (ServiceError("ServiceException", "why", status=503), "the service failed: run the command again ("),
        (ServiceError("ResponseParserError", "not an answer of the Lambda API"), "ResponseParserError: not an answer"),
    ],
)
def test_the_advice_fits_the_error(error: Exception, beginning: str) -> None:
    assert reading_problem(error, OPERATION).startswith(beginning)


def test_a_history_that_the_service_fails_to_give_is_no_matter_of_permissions() -> None:
    class Failing:
        def get_durable_execution_history(self, **_: object) -> None:
            raise refusal("ServiceException", 500)

    with pytest.raises(UnreadableHistoryError, match="cannot read its history: the service failed") as raised:
        load_execution(Failing(), "arn")
    assert "grant" not in str(raised.value)
