"""ARNs of executions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol import ExecutionArn

WORD = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)


@given(WORD, WORD, WORD, st.sampled_from(["$LATEST", "$LATEST.PUBLISHED", "1", "42"]))
def test_what_is_written_is_read(function: str, name: str, execution: str, version: str) -> None:
    arn = ExecutionArn(function, name, execution, version)
    assert ExecutionArn.parse(str(arn)) == arn


def test_the_function_version_has_an_arn_of_its_own() -> None:
    arn = ExecutionArn.parse("arn:aws-cn:lambda:cn-north-1:210987654321:function:f:7/durable-execution/n/i")
    assert arn.function_arn == "arn:aws-cn:lambda:cn-north-1:210987654321:function:f:7"
    assert (arn.partition, arn.region, arn.account, arn.version) == ("aws-cn", "cn-north-1", "210987654321", "7")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "process_order",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n",
        "arn:aws:lambda:us-east-1:12345:function:f:$LATEST/durable-execution/n/i",
        "arn:aws:lambda:us-east-1:123456789012:function:f:alias/durable-execution/n/i",
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n/i/more",
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/n/i\n",
    ],
)
def test_anything_else_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ValueError, match="expected arn:aws:lambda:REGION"):
        ExecutionArn.parse(text)
