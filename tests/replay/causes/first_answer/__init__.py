"""asyncio.wait decides which supplier is used."""
