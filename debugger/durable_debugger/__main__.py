"""`python -m durable_debugger`."""

import sys

from durable_debugger.cli import main

sys.exit(main())
