"""What runs beside an agent: the `yard` command, the drill, the telemetry client. Knows nothing of Django."""
