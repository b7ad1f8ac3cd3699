"""A name that does not exist is refused, although names are loaded when they are first used."""

import durable_execution
from durable_execution import StepConfiguration  # E: [attr-defined] no attribute "StepConfiguration"
from durable_execution.config import MapConfiguration  # E: [attr-defined] no attribute "MapConfiguration"

print(StepConfiguration, MapConfiguration)
print(durable_execution.Retries)  # E: [attr-defined] Module has no attribute "Retries"
