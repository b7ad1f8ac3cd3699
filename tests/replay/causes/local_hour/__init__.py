"""The local time zone decides whether it is night."""
