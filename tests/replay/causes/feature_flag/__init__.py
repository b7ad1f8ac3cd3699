"""An environment variable, read through a settings object, switches a step on."""
