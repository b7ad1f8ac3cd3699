"""A payload store in memory that counts."""


class MemoryStore:
    """Keeps bytes in a dictionary.

    Attributes:
        kept: The bytes by key.
        puts: How often something was put.
        gets: How often something was fetched.
    """

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.puts = 0
        self.gets = 0

    def put(self, key: str, data: bytes) -> None:
        self.puts += 1
        assert self.kept.setdefault(key, data) == data

    def get(self, key: str) -> bytes:
        self.gets += 1
        return self.kept[key]
