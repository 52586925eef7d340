class AgentRefused(Exception):
    """What was asked of an agent makes no sense in its state, or can't be done; the message says why."""


class HostTaken(Exception):
    """Another machine runs agents under this host's name; the message says what to do."""
