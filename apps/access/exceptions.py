class NotAllowed(Exception):
    """The actor's role doesn't cover what was asked."""


class LinkRefused(Exception):
    """A sign-in link that is unknown, used or expired."""
