class RecordingRefused(Exception):
    """Says what is wrong with a recording, and what to do."""
