"""Tokens that make requests to the bank idempotent."""

import uuid
from dataclasses import dataclass, field

from tests.replay.causes.common.timing import note, timed

LENGTH = 8


def fresh() -> str:
    return uuid.uuid4().hex[:LENGTH]  # CAUSE


@dataclass(frozen=True)
class Request:
    """One request to the bank."""

    account: str
    cents: int
    token: str = field(default_factory=fresh)  # CAUSE

    @property
    def name(self) -> str:
        return f"transfer_{self.account}_{self.token}"


def account_of(customer: str) -> str:
    """The account a customer pays from."""
    return customer.replace("-", "")


def request_for(customer: str, cents: int) -> Request:
    """A request with a token of its own."""
    with timed("request"):
        request = Request(account_of(customer), cents)
    note("request", account=request.account)
    return request
