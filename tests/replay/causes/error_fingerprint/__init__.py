"""A fingerprint of the formatted traceback names the incident."""
