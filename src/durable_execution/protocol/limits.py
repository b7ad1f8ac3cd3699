"""Sizes and ranges of the protocol, with where each comes from."""

MIN_DELAY_SECONDS = 1
MAX_DELAY_SECONDS = 31_622_400
"""Waits and retry delays: 1 second to 366 days (service model)."""

MAX_CALLBACK_TIMEOUT_SECONDS = 99_999_999
"""Callback timeouts, 0 meaning none (service model)."""

MAX_CONTEXT_RESULT_BYTES = 256 * 1024
"""A context's result above this is not kept: its children are replayed instead (AWS's SDKs)."""

LOOK_FROM_CHARACTERS = MAX_CONTEXT_RESULT_BYTES * 8 // 10 // 4
"""Text from here on may come near that limit: a character has at most four bytes, and 80 % is near."""

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 50
"""A handler's result above this is checkpointed instead of returned (Lambda's 6 MiB, less the envelope)."""

MAX_BATCH_UPDATES = 250
MAX_BATCH_BYTES = 750 * 1024
"""One checkpoint call (AWS's SDKs; chosen by the client)."""

MAX_ERROR_BYTES = 32_768
"""An error object in a checkpoint, as JSON (AWS's emulator)."""

MAX_NAME_LENGTH = 256
MAX_EXECUTION_NAME_LENGTH = 64
MAX_SUBTYPE_LENGTH = 32
MAX_OPERATION_ID_LENGTH = 64
"""Characters (service model)."""

MAX_CALLBACK_RESULT_BYTES = 1_048_576
MAX_INVOKE_PAYLOAD_BYTES = 1_048_576
MAX_PAYLOAD_CHARACTERS = 6_291_456
"""Payloads of callbacks, chained invokes (service model, AWS's emulator) and any other member (service model)."""

MAX_OPERATIONS = 3_000
MAX_EXECUTION_BYTES = 100 * 1024 * 1024
"""Quotas of one execution (AWS's quotas page)."""
