"""Logs and exec through the server, by the real kubectl; the node's side is this host's own processes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import aiohttp
import pytest

from controlplane.api.errors import BadRequest, InternalError
from controlplane.api.kinds import POD
from controlplane.api.types import Object
from controlplane.server.streams import LogOptions, Output, ProcessStreams
from tests.api.conftest import Kubectl, Served


class HostStreams:
    """Runs commands on the host, and has one log."""

    def __init__(self) -> None:
        self.options: LogOptions | None = None
        self.sizes: list[tuple[int, int]] = []
        self.ended = asyncio.Event()

    async def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.options = options
        if options.previous:
            raise BadRequest(
                f'previous terminated container "{container}" in pod "{pod["metadata"]["name"]}" not found'
            )
        try:
            yield b"first\n"
            if options.follow:
                await asyncio.sleep(0.05)
                yield b"second\n"
                if pod["metadata"]["name"] == "endless":
                    await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def exec(self, pod: Object, container: str, command: list[str], streams: ProcessStreams) -> int:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        feeding = asyncio.ensure_future(feed(process, streams))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(process.stdout, streams.stdout))
                group.create_task(copy(process.stderr, streams.stderr))
            return await process.wait()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            if process.returncode is None:
                process.kill()
                await process.wait()
            self.ended.set()

    async def attach(self, pod: Object, container: str, streams: ProcessStreams) -> None:
        raise BadRequest("nothing to attach to")

    async def port_forward(self, pod: Object, port: int, data: AsyncIterator[bytes], send: Output) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise InternalError(f"failed to connect to localhost:{port}: connection refused") from error

        async def forward() -> None:
            async for chunk in data:
                writer.write(chunk)
            writer.write_eof()

        forwarding = asyncio.ensure_future(forward())
        try:
            while chunk := await reader.read(65536):
                await send(chunk)
        finally:
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)
            writer.close()


async def feed(process: asyncio.subprocess.Process, streams: ProcessStreams) -> None:
    """Gives the process what the caller types, and the end of that."""
    assert process.stdin is not None
    if streams.stdin is not None:
        async for data in streams.stdin:
            process.stdin.write(data)
    process.stdin.close()


async def copy(source: asyncio.StreamReader | None, sink: Output | None) -> None:
    assert source is not None
    while data := await source.read(65536):
        if sink is not None:
            await sink(data)


@pytest.fixture
async def host(served: Served) -> HostStreams:
    streams = HostStreams()
    served.streams.register("node-1", streams)
    for name, containers in (("one", ["c"]), ("two", ["a", "b"]), ("endless", ["c"])):
        spec = {"containers": [{"name": each, "image": "x"} for each in containers]}
        await served.local.create(POD, {"metadata": {"name": name}, "spec": spec}, "default")
        binding = {"target": {"kind": "Node", "name": "node-1"}}
        await served.local.create(POD, binding, "default", subresource="binding", name=name)
    return streams


async def test_logs(kubectl: Kubectl, host: HostStreams) -> None:
    done = await kubectl("logs", "one", "--tail=5", "--timestamps", "--limit-bytes=99")
    assert (done.stdout, done.stderr) == ("first\n", "")
    assert host.options == LogOptions(tail_lines=5, timestamps=True, limit_bytes=99)


async def test_logs_follow_to_the_end(kubectl: Kubectl, host: HostStreams) -> None:
    assert (await kubectl("logs", "-f", "one")).stdout == "first\nsecond\n"


async def test_logs_refused_by_the_node(kubectl: Kubectl, host: HostStreams) -> None:
    done = await kubectl("logs", "one", "--previous")
    assert 'previous terminated container "c" in pod "one" not found' in done.stderr


async def test_logs_of_an_unknown_container(kubectl: Kubectl, host: HostStreams) -> None:
    assert "container nope is not valid for pod two" in (await kubectl("logs", "two", "-c", "nope")).stderr


async def test_following_ends_when_the_caller_goes(kubectl: Kubectl, host: HostStreams) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await kubectl("logs", "-f", "endless")
    async with asyncio.timeout(30):
        await host.ended.wait()


async def test_exec_brings_output_and_exit_code(kubectl: Kubectl, host: HostStreams) -> None:
    done = await kubectl("exec", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert done.stdout == "out\n"
    assert done.stderr == "err\ncommand terminated with exit code 3\n"
    assert done.status == 3


async def test_exec_passes_stdin_and_its_end(kubectl: Kubectl, host: HostStreams) -> None:
    text = "x" * 300_000
    done = await kubectl("exec", "-i", "one", "--", "wc", "-c", stdin=text)
    assert done.stdout.strip() == "300000", done.stderr


@pytest.mark.parametrize(
    ("headers", "code", "message"),
    [
        ({}, 400, "Upgrade request required"),
        (
            {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v9.channel.k8s.io"},
            403,
            "unable to upgrade: unable to negotiate protocol: "
            "client supports [v9.channel.k8s.io], server accepts [v4.channel.k8s.io]",
        ),
    ],
    ids=["no upgrade", "unknown protocol"],
)
async def test_exec_in_a_protocol_that_is_not_spoken(
    session: aiohttp.ClientSession, host: HostStreams, headers: dict[str, str], code: int, message: str
) -> None:
    path = "/api/v1/namespaces/default/pods/one/exec?command=true&stdout=true"
    async with session.post(path, headers=headers) as answer:
        assert answer.status == code
        assert (await answer.json())["message"] == message
    async with session.get("/version") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("protocols", "status"),
    [
        (("v4.channel.k8s.io",), '"reason":"NonZeroExitCode"'),
        (("v4.base64.channel.k8s.io",), '"reason":"NonZeroExitCode"'),
        (("base64.channel.k8s.io",), "command terminated with non-zero exit code: exit status 3"),
        (("channel.k8s.io",), "command terminated with non-zero exit code: exit status 3"),
        ((), "command terminated with non-zero exit code: exit status 3"),
    ],
)
async def test_exec_over_the_older_protocols(
    session: aiohttp.ClientSession, host: HostStreams, protocols: tuple[str, ...], status: str
) -> None:
    query = "?command=sh&command=-c&command=read+a;+echo+$a;+exit+3&stdin=true&stdout=true&stderr=true"
    coded = any("base64" in one for one in protocols)
    got: dict[int, bytes] = {}
    async with (
        asyncio.timeout(30),
        session.ws_connect(f"/api/v1/namespaces/default/pods/one/exec{query}", protocols=protocols) as opened,
    ):
        if coded:
            await opened.send_str("0" + base64.b64encode(b"hello\n").decode())
        else:
            await opened.send_bytes(b"\0hello\n")
        async for message in opened:
            data = base64.b64decode(message.data[1:]) if coded else message.data[1:]
            channel = int(message.data[0])
            got[channel] = got.get(channel, b"") + data
            if channel == 3:
                break
    assert got[1] == b"hello\n"
    assert status in got[3].decode()


async def test_of_a_log_one_stream_can_be_read(session: aiohttp.ClientSession, host: HostStreams) -> None:
    path = "/api/v1/namespaces/default/pods/one/log"
    async with session.get(f"{path}?stream=Stderr") as response:
        assert response.status == 200
    assert host.options == LogOptions(stream="Stderr")
    for query in ("stream=Both", "stream=Stdout&tailLines=1"):
        async with session.get(f"{path}?{query}") as response:
            assert response.status == 422


async def test_exec_over_spdy(kubectl: Kubectl, host: HostStreams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
    done = await kubectl("exec", "-i", "one", "--", "sh", "-c", "cat; echo err >&2; exit 3", stdin="given\n")
    assert done.stdout == "given\n"
    assert done.stderr == "err\ncommand terminated with exit code 3\n"
    assert done.status == 3


async def test_exec_that_cannot_start(kubectl: Kubectl, host: HostStreams) -> None:
    done = await kubectl("exec", "one", "--", "/no/such/program")
    assert done.status == 1
    assert "No such file or directory" in done.stderr
