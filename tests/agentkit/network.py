"""Clients for tests, and networks that fail them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

from agentkit.client import Client


@contextlib.contextmanager
def client_of(url: str, **options: float) -> Iterator[Client]:
    client = Client(url, "secret", **{"flush_after": 0.02, **options})  # type: ignore[arg-type]
    yield client
    client.close(0.0)


def report(client: Client, count: int, first: int = 0) -> list[str]:
    notes = [f"s{number}" for number in range(first, first + count)]
    for note in notes:
        client.report("edit", ms=1.0, note=note)
    return notes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(answer)
                        connection.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting_proxy(port: int, cuts: list[int]) -> Iterator[int]:
    """Forwards both ways; each connection breaks after as many bytes from the client as `cuts` says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def forward(source: socket.socket, target: socket.socket, limit: float) -> None:
            with contextlib.suppress(OSError):
                while limit > 0 and (data := source.recv(int(min(limit, 4096)))):
                    target.sendall(data)
                    limit -= len(data)
            for each in (source, target):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = server.accept()
                    far = socket.create_connection(("127.0.0.1", port))
                    limit = cuts.pop() if cuts else float("inf")
                    threading.Thread(target=forward, args=(near, far, limit), daemon=True).start()
                    threading.Thread(target=forward, args=(far, near, float("inf")), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def make_certificate(directory: os.PathLike[str]) -> str:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(directory, "localhost.pem")
    with open(path, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
    return path
