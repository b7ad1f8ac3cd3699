"""Lists in pages are read to their end, and pages without an end are an error."""

from collections.abc import Callable
from typing import Any

import pytest

from durable_execution.errors import ServiceError
from durable_execution.paging import MAX_BARREN_PAGES, Markers, pages


def listing(*answers: Any) -> Callable[..., Any]:
    """A call that gives one answer after the other."""
    left = iter(answers)

    def list_things(**arguments: Any) -> Any:
        return next(left)

    return list_things


def page(*numbers: int, marker: str | None = None) -> dict[str, Any]:
    return {"Events": [{"EventId": number} for number in numbers], "NextMarker": marker}


def follow(markers: Markers, count: int, *, news: int) -> None:
    for number in range(count):
        markers.following(f"new {number}", news)


def test_every_page_is_read() -> None:
    found = list(pages(listing(page(1, 2, marker="a"), page(3, marker="b"), page(4)), "Events"))
    assert [[event["EventId"] for event in events] for events in found] == [[1, 2], [3], [4]]


def test_the_marker_is_passed_on() -> None:
    asked: list[dict[str, Any]] = []

    def call(**arguments: Any) -> Any:
        asked.append(arguments)
        return page(len(asked), marker="next" if len(asked) == 1 else "")

    list(pages(call, "Events", MaxItems=5))
    assert asked == [{"MaxItems": 5}, {"MaxItems": 5, "Marker": "next"}]


@pytest.mark.parametrize("answer", [None, [], {}, {"Events": None}, {"Events": [None]}, {"Events": [{"EventId": "1"}]}])
def test_an_answer_without_the_list_names_the_call(answer: Any) -> None:
    with pytest.raises(ServiceError, match="list_things answered without a list Events of objects with EventId"):
        list(pages(listing(answer), "Events"))


def test_a_repeated_marker_is_an_error() -> None:
    with pytest.raises(ServiceError, match=r"list_things do not end: .*the same page marker twice"):
        list(pages(listing(page(1, marker="a"), page(2, marker="a"), page(3)), "Events"))


def test_pages_may_be_empty_now_and_then_but_not_without_end() -> None:
    markers = Markers("list_things")
    for number in range(MAX_BARREN_PAGES * 2):
        assert markers.following(str(number), news=number % 2) == str(number)
    with pytest.raises(ServiceError, match="in a row without anything new"):
        follow(markers, MAX_BARREN_PAGES + 1, news=0)


def test_the_number_of_pages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_execution.paging.MAX_PAGES", 3)
    markers = Markers("list_things")
    with pytest.raises(ServiceError, match="returned 3 pages"):
        follow(markers, 5, news=1)


def test_a_marker_is_text() -> None:
    with pytest.raises(ServiceError, match="not text"):
        Markers("list_things").following(7, news=1)
