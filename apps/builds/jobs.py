"""Doors for the queues."""

from apps.builds.sizes import measure_some


def measure_directories_job(host: str) -> None:
    measure_some(host)
