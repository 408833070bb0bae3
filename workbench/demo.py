"""The walk-through of the README, played for a person: `make demo`.

Every command is shown as it would be typed, run for real, and its answer printed. What follows a command is waited
for by its condition, never by time. The cluster is called `demo`, stands beside any other, and is taken down however
the demo ends: by a step that fails, a signal, a terminal that is closed, or a reader of its output that goes away. It
is not a test: tests/e2e asserts more than this shows.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from workbench.cli.typed import by_sudo

CLUSTER = "demo"
APP = "hello-world-rest-api"
IMAGE = f"in28min/{APP}:0.0.1.RELEASE"
NEXT_IMAGE = f"in28min/{APP}:0.0.2.RELEASE"
BIN = Path(sys.executable).parent
SUDO = "sudo " if by_sudo() else ""
KUBECONFIG = Path(f"/var/lib/netsim/clusters/{CLUSTER}/admin.kubeconfig")
COMMAND_SECONDS = 300
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.1
NOBODY_READS = (errno.EPIPE, errno.EIO)
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

Value = TypeVar("Value")


class StepFailed(Exception):
    """A command failed, or what should follow it did not."""


def main() -> int:
    """Play it all; 0 if every step worked, 1 if one did not or nobody reads any more, 130 if interrupted."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        return _play()
    except OSError as error:
        if error.errno not in NOBODY_READS:
            raise
        # What is still buffered would be written at the exit, and fail again.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 1


def _play() -> int:
    begun = time.monotonic()
    try:
        with _cluster():
            for chapter in (_deploy, _expose, _replace, _scale, _events, _roll, _look_around, _two_containers):
                chapter()
    except StepFailed as error:
        click.secho(f"\nthe demo failed: {error}", fg="red", err=True)
        return 1
    except KeyboardInterrupt:
        click.secho("\ninterrupted; the cluster is taken down", fg="yellow", err=True)
        return 130
    click.secho(f"\nThat was it, in {time.monotonic() - begun:.0f} s. The host is as it was.", fg="green")
    click.echo(f"Your own cluster: {SUDO}.venv/bin/netsim up")
    return 0


@contextmanager
def _cluster() -> Iterator[None]:
    _say("A cluster of three nodes; each node is a network namespace of this host.")
    _netsim("down", "--name", CLUSTER, quiet=True)
    try:
        _netsim("up", "--name", CLUSTER)
        yield
    finally:
        _ignore_signals()
        try:
            _say("Taking the cluster down.")
        finally:
            # Also when that could not be said; so nothing is shown before it is done.
            done = _netsim("down", "--name", CLUSTER, quiet=True)
        click.echo(done.rstrip())


def _deploy() -> None:
    _say("A Deployment. There is no image to download: a stand-in answers in its place.")
    _kubectl("get nodes -o wide")
    _run("ip netns list")
    _kubectl(f"create deployment {APP} --image={IMAGE}")
    _kubectl(f"rollout status deployment {APP} --timeout=180s")
    _kubectl("get pods -o wide")
    _kubectl(f"describe pods -l app={APP}")


def _expose() -> None:
    _say("A Service of type LoadBalancer: its address is there at once, and answers from this host.")
    _kubectl(f"expose deployment {APP} --type=LoadBalancer --port=8080")
    _kubectl(f"get service {APP}")
    pod = _pods()[0]
    for what, url in _addresses().items():
        _say(f"From the host, by the {what}:")
        _answers(f"curl -s --max-time 3 {url}", pod)
    _say("From a pod, by the ClusterIP:")
    _kubectl("run client --image=curlimages/curl --command -- sleep 3600")
    _kubectl("wait pod client --for=condition=Ready --timeout=180s")
    _kubectl(f"exec client -- curl -s --max-time 3 http://{_service('{.spec.clusterIP}')}:8080/")


def _replace() -> None:
    _say("Delete the pod: the ReplicaSet makes another, with another name.")
    before = _pods()[0]
    _kubectl(f"delete pod {before}")
    _until(f"a pod other than {before}", lambda: _pods() and before not in _pods())
    _kubectl(f"rollout status deployment {APP} --timeout=180s")
    _kubectl("get rs")


def _scale() -> None:
    _say("Three replicas spread over the nodes, and the Service reaches all of them.")
    _kubectl(f"scale deployment {APP} --replicas=3")
    _kubectl(f"rollout status deployment {APP} --timeout=180s")
    _kubectl(f"get pods -l app={APP} -o wide")
    url = _addresses()["load-balancer address"]
    answered = _until("answers of all three pods", lambda: _who_answers(url, times=60, least=3))
    for pod, times in sorted(answered.items()):
        click.echo(f"{times:3} answers by {pod}")


def _events() -> None:
    _say("What happened, in the words of a real cluster.")
    _kubectl("get events --sort-by=.metadata.creationTimestamp")


def _roll() -> None:
    _say("A rolling update under load: no request fails.")
    url = _addresses()["load-balancer address"]
    with _load(url) as outcome:
        _kubectl(f"set image deployment {APP} {APP}={NEXT_IMAGE}")
        _kubectl(f"rollout status deployment {APP} --timeout=180s")
    failures = [f"{times} {failure}" for failure, times in outcome.items() if failure]
    click.echo(f"{outcome['']} requests meanwhile, {outcome.total() - outcome['']} failed")
    if failures or not outcome[""]:
        raise StepFailed(f"of {outcome.total()} requests during the rolling update failed: {', '.join(failures)}")
    _kubectl("get rs")
    _kubectl(f"rollout history deployment {APP}")
    _kubectl(f"rollout undo deployment {APP}")
    _kubectl(f"rollout status deployment {APP} --timeout=180s")


def _look_around() -> None:
    _say("The rest of kubectl works too.")
    _kubectl("explain deployment.spec.strategy")
    _kubectl("get all")
    _kubectl(f"logs deployment/{APP} --tail=3")
    _kubectl("exec client -- ip addr show eth0")
    _say("And underneath it is all real: the Service as rules in a node.")
    _run(f"ip netns exec {CLUSTER}-node-1 iptables-save -t nat | grep {APP} | head -n 12")


TWO_CONTAINERS = """\
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  containers:
  - {name: proxy, image: nginx, ports: [{containerPort: 80}]}
  - {name: application, image: example/application, ports: [{containerPort: 8000}]}
  - {name: shell, image: busybox, command: [sleep, "3600"]}
"""


def _two_containers() -> None:
    _say("Containers of one pod share its address: they reach each other on localhost.")
    click.echo(TWO_CONTAINERS)
    _kubectl("apply -f -", stdin=TWO_CONTAINERS)
    _kubectl("wait pod two --for=condition=Ready --timeout=180s")
    for port in (80, 8000):
        _kubectl(f"exec two -c shell -- curl -s --max-time 3 http://localhost:{port}/")


def _addresses() -> dict[str, str]:
    """The three ways to the Service from the host; waits until each answers."""
    node = _capture('get node node-1 -o jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
    external = _until("an external address", lambda: _service("{.status.loadBalancer.ingress[0].ip}"))
    urls = {
        "load-balancer address": f"http://{external}:8080/",
        "NodePort": f"http://{node}:{_service('{.spec.ports[0].nodePort}')}/",
    }
    for what, url in urls.items():
        _until(f"an answer by the {what}", lambda url=url: _fetch(url)[0])  # type: ignore[misc]
    return urls


def _service(jsonpath: str) -> str:
    return _capture(f"get service {APP} -o jsonpath={jsonpath}")


def _pods() -> list[str]:
    """The names of the application's pods that are not on their way out."""
    items = json.loads(_capture(f"get pods -l app={APP} -o json"))["items"]
    return [item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"]]


def _who_answers(url: str, *, times: int, least: int) -> Counter[str]:
    """How often each pod answers; empty as long as fewer than `least` do."""
    pods = _pods()
    answers = [_fetch(url)[0] for _ in range(times)]
    count = Counter(pod for answer in answers for pod in pods if pod in answer)
    return count if len(count) >= least else Counter()


def _fetch(url: str) -> tuple[str, str]:
    """What the URL answers, and what curl says if it does not; one of them is empty."""
    done = subprocess.run(["curl", "-sS", "--max-time", "20", url], capture_output=True, text=True, check=False)
    return (done.stdout, "") if done.returncode == 0 else ("", done.stderr.strip())


@contextmanager
def _load(url: str) -> Iterator[Counter[str]]:
    """Ask for the URL again and again in the background, and count the failures by what curl says; '' is none."""
    outcome: Counter[str] = Counter()
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            outcome[_fetch(url)[1]] += 1

    thread = threading.Thread(target=work, name="load")
    thread.start()
    try:
        yield outcome
    finally:
        done.set()
        thread.join()


def _answers(command: str, expected: str) -> None:
    if expected not in _run(command):
        raise StepFailed(f"`{command}` did not name {expected}")


def _until(what: str, observe: Callable[[], Value]) -> Value:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := observe()):
        if time.monotonic() > deadline:
            raise StepFailed(f"no sign of {what} within {WAIT_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return value


def _say(text: str) -> None:
    click.secho(f"\n# {text}", fg="cyan", bold=True)


def _netsim(*arguments: str, quiet: bool = False) -> str:
    command = shlex.join([str(BIN / "netsim"), *arguments])
    return _run(command, shown=None if quiet else f"{SUDO}netsim {shlex.join(arguments)}")


def _kubectl(arguments: str, *, stdin: str | None = None) -> None:
    _run(f"{BIN / 'kubectl'} {arguments}", shown=f"kubectl {arguments}", stdin=stdin)


def _capture(arguments: str) -> str:
    """What kubectl prints, shown to nobody."""
    return _run(shlex.join([str(BIN / "kubectl"), *arguments.split(" ")]), shown=None)


def _run(command: str, *, shown: str | None = "", stdin: str | None = None) -> str:
    """Run a shell command, show it (`shown` instead, or not at all if None) and its output, and return that."""
    if shown is not None:
        click.secho(f"$ {shown or command}", bold=True)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            # What kubectl remembers of an earlier cluster at this address is not true of this one.
            env=os.environ
            | {"KUBECONFIG": str(KUBECONFIG), "KUBECACHEDIR": str(KUBECONFIG.with_name("kubectl-cache"))},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"`{shown or command}` took more than {COMMAND_SECONDS} s") from error
    if shown is not None:
        click.echo(done.stdout.rstrip())
    if done.returncode != 0:
        said = "" if shown is not None else f": {done.stdout.strip()}"
        raise StepFailed(f"`{shown or command}` ended with status {done.returncode}{said}")
    return done.stdout


def _interrupt(number: int, frame: object) -> NoReturn:
    _ignore_signals()  # a second one must not leave half a cluster
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """From here on; what is started from here on ignores them too."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
