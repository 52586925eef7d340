class AlertRefused(Exception):
    """An alert, rule or destination that can't be changed as asked; the message says why and what to do."""
