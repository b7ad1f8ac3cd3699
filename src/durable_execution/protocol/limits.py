"""Sizes and ranges of the protocol, with the source of each."""

MIN_DELAY_SECONDS = 1
MAX_DELAY_SECONDS = 31_622_400
"""Waits and retry delays: 1 second to 366 days (service model)."""

MAX_CALLBACK_TIMEOUT_SECONDS = 99_999_999
"""Callback timeouts, 0 meaning none (service model)."""

MAX_CONTEXT_RESULT_BYTES = 256 * 1024
"""A larger result of a context is not stored: its children are replayed instead (AWS's SDKs)."""

LOOK_FROM_CHARACTERS = MAX_CONTEXT_RESULT_BYTES * 8 // 10 // 4
"""Text of this length may come close to that limit: a character takes at most four bytes, and 80 % is close."""

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 50
"""A larger result of a handler is checkpointed instead of returned (Lambda's 6 MiB, less the envelope)."""

MAX_BATCH_UPDATES = 250
MAX_BATCH_BYTES = 750 * 1024
"""Limits of one checkpoint call (AWS's SDKs; set by the client)."""

MAX_ERROR_BYTES = 32_768
"""Largest error object in a checkpoint, as JSON (AWS's emulator)."""

MAX_NAME_LENGTH = 256
MAX_EXECUTION_NAME_LENGTH = 64
MAX_SUBTYPE_LENGTH = 32
MAX_OPERATION_ID_LENGTH = 64
"""Characters (service model)."""

MAX_CALLBACK_RESULT_BYTES = 1_048_576
MAX_INVOKE_PAYLOAD_BYTES = 1_048_576
MAX_PAYLOAD_CHARACTERS = 6_291_456
"""Largest payload of callbacks, chained invokes (service model, AWS's emulator) and other members (service model)."""

MAX_OPERATIONS = 3_000
MAX_EXECUTION_BYTES = 100 * 1024 * 1024
"""Quotas of one execution (AWS's quotas page)."""
