"""Pure functions from a session to lines of text, shared by the app's widgets and the headless verbs."""
