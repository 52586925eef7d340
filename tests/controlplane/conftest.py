from tests.waves.conftest import home, source, waves

__all__ = ["home", "source", "waves"]
