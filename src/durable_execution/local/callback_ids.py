"""Callback ids: opaque to the caller that completes the callback, and sufficient to find its operation."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error


def make_callback_id(execution: int, sequence: int, nonce: str) -> str:
    """Make the id of a callback.

    Args:
        execution: Key of its execution.
        sequence: Sequence number of its operation.
        nonce: A random text that makes the id hard to guess and unique across stores.
    """
    return b64encode(f"{execution}.{sequence}.{nonce}".encode()).decode()


def locate_callback(callback_id: str) -> tuple[int, int] | None:
    """The execution key and operation sequence in a callback id; None if this engine did not make the id."""
    try:
        execution, sequence, _ = b64decode(callback_id, validate=True).decode("ascii").split(".", 2)
        place = int(execution), int(sequence)
    except (Base64Error, ValueError):
        return None
    return place if all(0 <= number < 2**62 for number in place) else None
