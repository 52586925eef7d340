class CheckpointMoved(Exception):
    """The checkpoint isn't where this process left it: another one writes, or a commit went through after
    all. Nothing was written; what to do is to start again from the rows."""
