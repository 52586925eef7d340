import pytest

from tests.alerts.watching import Watch


@pytest.fixture
def watch(db, redis_server) -> Watch:
    """The evaluation with a clock of its own, on a real Redis."""
    return Watch()
