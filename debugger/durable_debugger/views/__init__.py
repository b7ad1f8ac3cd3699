"""From a session to lines of text: pure functions, used by the app's widgets and by the headless verbs alike."""
