"""What runs beside an agent: the `yard` command, the drill, the telemetry client. It knows the wire format, not Django."""
