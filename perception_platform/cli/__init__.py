"""The ``perception-platform`` command, a file a group."""
