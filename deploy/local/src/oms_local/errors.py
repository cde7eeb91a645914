"""What ends a command of the launcher with a message instead of a traceback."""


class LaunchError(Exception):
    """Something the person who started it can act on. The message says what, in a line or with a log's end."""

    exit_code = 1
