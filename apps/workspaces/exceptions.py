class RepositoryRefused(Exception):
    """A repository that can't be used; the message says why and what to do."""


class GitFailed(Exception):
    """git refused or timed out; the message is the end of what it said."""
