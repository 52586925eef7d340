class BaseRefused(Exception):
    """For people."""


class OptionRefused(Exception):
    """For people."""


class RecordingRefused(Exception):
    """Says what is wrong with a recording, and what to do."""
