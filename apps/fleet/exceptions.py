class AgentRefused(Exception):
    """What was asked of an agent makes no sense in its state, or can't be done; the message says why."""
