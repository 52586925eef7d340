class WaveRefused(Exception):
    """A wave that can't be started or steered as asked; the message says why and what to do."""
