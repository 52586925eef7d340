"""The parts of the drill: what it chooses, what it edits, how it commits."""
