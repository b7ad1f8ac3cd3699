"""Callback ids: opaque to whoever completes the callback, and enough to find it."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error


def make_callback_id(execution: int, sequence: int, nonce: str) -> str:
    """The id of a callback.

    Args:
        execution: Key of its execution.
        sequence: Place of its operation.
        nonce: Something that makes it hard to guess, and different from the ids of any other store.
    """
    return b64encode(f"{execution}.{sequence}.{nonce}".encode()).decode()


def locate_callback(callback_id: str) -> tuple[int, int] | None:
    """Execution and operation a callback id stands for; None when it is not one of ours."""
    try:
        execution, sequence, _ = b64decode(callback_id, validate=True).decode("ascii").split(".", 2)
        place = int(execution), int(sequence)
    except (Base64Error, ValueError):
        return None
    return place if all(0 <= number < 2**62 for number in place) else None
