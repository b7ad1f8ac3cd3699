"""Operation ids are those of AWS's SDK for Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_execution.protocol import branch_id, operation_id
from durable_execution.protocol.ids import REMEMBERED_IDS, task_prefix

FIRST = "1ced8f5be2db23a6513eba4d819c73806424748a7bc6fa0d792cc1c7d1775a97"


@pytest.mark.parametrize(
    ("prefix", "position", "expected"),
    [
        (None, 1, FIRST),
        (None, 2, "c5faca15ac2f93578b39ef4b6bbb871bdedce4ddd584fd31f0bb66fade3947e6"),
        (None, 1_024, "62521e8131bf473d640150862798cf9957fd5e6ca4d6ee5aeaafcf9021c9c67d"),
        (None, 1_025, "2f66a22368af3ce698ca61eb52523e264b501d38e998ba63e456348a4f30a816"),
        (FIRST, 1, "974bfc6321e227b0ff101342eaf19b336f002dc6cc99c18f0941a7755cc20fc4"),
    ],
)
def test_vectors(prefix: str | None, position: int, expected: str) -> None:
    assert operation_id(prefix, position) == expected


def test_a_process_remembers_the_ids_of_the_root_context_up_to_a_limit() -> None:
    """Every invocation asks for them again, in every execution."""
    assert operation_id(None, REMEMBERED_IDS) is operation_id(None, REMEMBERED_IDS)
    assert operation_id(None, REMEMBERED_IDS + 1) is not operation_id(None, REMEMBERED_IDS + 1)


def test_vectors_of_tasks() -> None:
    first = task_prefix(None, 1)
    assert first == "b9ad04e45c15a04849d2a76a855adcf03820ab55c92b3f4779ca79b582f1eb6a"
    assert task_prefix(first, 2) == "773452c6779d191c3756e522edd4958ab5b99021d9ac9bcebeb815c3f009ddf9"


def test_vector_of_the_first_branch() -> None:
    assert branch_id(FIRST, 0) == "1712f93e2f51df042e2b933907d75accfe34a48fe4a42a24e0b08131bc72d591"


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(1, 10_000))
def test_an_id_is_one_the_service_takes(prefix: str, position: int) -> None:
    made = operation_id(prefix, position)
    assert len(made) == 64
    assert set(made) <= set("0123456789abcdef")
    assert made == branch_id(prefix, position)


def test_calls_of_one_execution_never_share_an_id() -> None:
    root = [operation_id(None, n) for n in range(1, 200)]
    inner = [operation_id(root[0], n) for n in range(1, 200)]
    assert len({*root, *inner, branch_id(root[0], 0)}) == 399
