"""A bare Python TLS server with the libraries that the daemon loads, as a reference for its start and its memory.

As a program it makes a certificate, serves one HTTPS request to itself, prints its resident memory in KiB, and waits
for the end of its input. It holds no cluster: what the daemon takes beyond this is the cluster's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30


@dataclass(frozen=True, slots=True)
class Floor:
    """`start` in seconds until the first answer; `rss` in KiB."""

    start: float
    rss: float


def measure() -> Floor:
    """Starts the program and waits for its answer."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.floor"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        line = program.stdout.readline()
        took = time.monotonic() - began
        program.communicate(timeout=SECONDS)
    return Floor(took, float(line))


def resident(pid: int | str) -> float:
    """VmRSS of a process in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise RuntimeError(f"process {pid} has no VmRSS")


def _serve() -> None:
    import asyncio
    import datetime
    import ssl
    import tempfile

    import aiohttp.web
    import orjson
    import uvloop
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.public_bytes(pem) + private)
        file.flush()
        server_tls.load_cert_chain(file.name)
    client_tls = ssl.create_default_context()
    client_tls.check_hostname = False
    client_tls.verify_mode = ssl.CERT_NONE

    async def answer(_: aiohttp.web.BaseRequest) -> aiohttp.web.Response:
        return aiohttp.web.Response(body=orjson.dumps({"kind": "Status"}))

    async def work() -> None:
        runner = aiohttp.web.ServerRunner(aiohttp.web.Server(answer))
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls)
        await site.start()
        port = runner.addresses[0][1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_tls)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        sys.stdout.write(f"{resident('self'):.0f}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()

    uvloop.run(work())


if __name__ == "__main__":
    _serve()
