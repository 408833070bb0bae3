"""ReplicationControllers, DaemonSets, Jobs, CronJobs and StatefulSets, by the real kubectl on a real cluster."""

from __future__ import annotations

from tests.e2e.conftest import Cluster

RC = """
apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]
"""

DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers: [{name: main, image: "agent:1"}]
"""

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  {more}
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: busybox, command: [sh, -c, "{command}"]}}]
"""

STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "db:1"}]
"""


def lines(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_a_replication_controller_is_scaled_and_exposed(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=RC)
    cluster.out("-n", namespace, "wait", "rc/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=120s")
    cluster.out("-n", namespace, "scale", "rc", "web", "--replicas=3")
    cluster.out("-n", namespace, "wait", "rc/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=120s")
    header, row = lines(cluster.out("-n", namespace, "get", "rc"))
    assert header == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row[:4] == ["web", "3", "3", "3"]
    cluster.out("-n", namespace, "expose", "rc", "web", "--port=80")
    service = cluster.json("-n", namespace, "get", "service", "web")
    assert service["spec"]["selector"] == {"app": "web"}
    assert "SuccessfulCreate" in cluster.out("-n", namespace, "describe", "rc", "web")
    assert "replicationcontroller/web" in cluster.out("-n", namespace, "get", "all")


def test_a_daemon_set_rolls_out_and_back(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=DAEMON_SET)
    assert "successfully rolled out" in cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=120s")
    header, row = lines(cluster.out("-n", namespace, "get", "ds"))
    assert header[:6] == ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"]
    assert row[:7] == ["agent", "3", "3", "3", "3", "3", "<none>"]
    nodes = {pod["spec"]["nodeName"] for pod in cluster.json("-n", namespace, "get", "pods")["items"]}
    assert len(nodes) == 3
    cluster.out("-n", namespace, "set", "image", "ds/agent", "main=agent:2")
    cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s")
    history = lines(cluster.out("-n", namespace, "rollout", "history", "ds/agent"))
    assert [line[0] for line in history if line and line[0].isdigit()] == ["1", "2"]
    assert "agent:1" in cluster.out("-n", namespace, "rollout", "history", "ds/agent", "--revision=1")
    cluster.out("-n", namespace, "rollout", "undo", "ds/agent")
    cluster.out("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s")
    pods = cluster.json("-n", namespace, "get", "pods")["items"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"agent:1"}
    assert "SuccessfulDelete" in cluster.out("-n", namespace, "describe", "ds", "agent")
    assert len(cluster.json("-n", namespace, "get", "controllerrevisions")["items"]) == 2


def test_a_job_runs_to_its_end(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "create", "job", "hello", "--image=busybox", "--", "sh", "-c", "echo done")
    cluster.out("-n", namespace, "wait", "job/hello", "--for=condition=complete", "--timeout=120s")
    header, row = lines(cluster.out("-n", namespace, "get", "jobs"))
    assert header == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"]
    assert row[:3] == ["hello", "Complete", "1/1"]
    assert cluster.out("-n", namespace, "logs", "job/hello") == "done\n"
    (pod,) = cluster.json("-n", namespace, "get", "pods")["items"]
    assert pod["status"]["phase"] == "Succeeded"
    assert "Completed" in cluster.out("-n", namespace, "get", "pods")
    assert "job.batch/hello" in cluster.out("-n", namespace, "get", "all")
    assert "Job completed" in cluster.out("-n", namespace, "describe", "job", "hello")
    cluster.out("-n", namespace, "delete", "job", "hello")
    cluster.out("-n", namespace, "wait", "pod", pod["metadata"]["name"], "--for=delete", "--timeout=120s")


def test_a_job_that_cannot_succeed_is_given_up(cluster: Cluster, namespace: str) -> None:
    body = JOB.format(name="broken", command="exit 3", more="backoffLimit: 0")
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=body)
    cluster.out("-n", namespace, "wait", "job/broken", "--for=condition=failed", "--timeout=120s")
    assert lines(cluster.out("-n", namespace, "get", "jobs"))[1][:3] == ["broken", "Failed", "0/1"]
    (pod,) = cluster.json("-n", namespace, "get", "pods")["items"]
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    events = cluster.out("-n", namespace, "events", "--for", "job/broken")
    assert "BackoffLimitExceeded" in events
    assert "Job has reached the specified backoff limit" in events


def test_an_indexed_job_tells_each_pod_its_index(cluster: Cluster, namespace: str) -> None:
    more = "completions: 3\n  parallelism: 3\n  completionMode: Indexed"
    body = JOB.format(name="parts", command="echo $JOB_COMPLETION_INDEX $(hostname)", more=more)
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=body)
    cluster.out("-n", namespace, "wait", "job/parts", "--for=condition=complete", "--timeout=120s")
    assert cluster.json("-n", namespace, "get", "job", "parts")["status"]["completedIndexes"] == "0-2"
    said = cluster.out("-n", namespace, "logs", "-l", "job-name=parts")
    assert sorted(said.splitlines()) == ["0 parts-0", "1 parts-1", "2 parts-2"]


def test_a_cron_job_starts_jobs(cluster: Cluster, namespace: str) -> None:
    command = ("create", "cronjob", "tick", "--image=busybox", "--schedule=@every 1s", "--", "sh", "-c", "echo tick")
    cluster.out("-n", namespace, *command)
    cluster.out("-n", namespace, "wait", "cj/tick", "--for=jsonpath={.status.lastSuccessfulTime}", "--timeout=120s")
    cluster.out("-n", namespace, "patch", "cj", "tick", "-p", '{"spec":{"suspend":true}}')
    header, row = cluster.out("-n", namespace, "get", "cj").splitlines()
    assert header.split("  ")[0] == "NAME"
    assert "TIMEZONE" in header
    assert row.split()[:6] == ["tick", "@every", "1s", "<none>", "True", "0"]
    cluster.out("-n", namespace, "create", "job", "now", "--from=cronjob/tick")
    cluster.out("-n", namespace, "wait", "job/now", "--for=condition=complete", "--timeout=120s")
    assert "cronjob.batch/tick" in cluster.out("-n", namespace, "get", "all")
    assert "SuccessfulCreate" in cluster.out("-n", namespace, "describe", "cj", "tick")


def test_a_stateful_set_keeps_names(cluster: Cluster, namespace: str) -> None:
    cluster.out("-n", namespace, "apply", "-f", "-", stdin=STATEFUL_SET)
    cluster.out("-n", namespace, "rollout", "status", "sts/web", "--timeout=120s")
    header, row = lines(cluster.out("-n", namespace, "get", "sts"))
    assert header == ["NAME", "READY", "AGE"]
    assert row[:2] == ["web", "2/2"]
    assert cluster.out("-n", namespace, "exec", "web-1", "--", "hostname").strip() == "web-1"
    cluster.out("-n", namespace, "scale", "sts", "web", "--replicas=3")
    cluster.out("-n", namespace, "rollout", "status", "sts/web", "--timeout=120s")
    cluster.out("-n", namespace, "set", "image", "sts/web", "main=db:2")
    cluster.out("-n", namespace, "rollout", "status", "sts/web", "--timeout=60s")
    cluster.out("-n", namespace, "rollout", "undo", "sts/web")
    cluster.out("-n", namespace, "rollout", "status", "sts/web", "--timeout=60s")
    pods = cluster.json("-n", namespace, "get", "pods")["items"]
    assert {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in pods} == {
        f"web-{number}": "db:1" for number in range(3)
    }
    assert "REVISION" in cluster.out("-n", namespace, "rollout", "history", "sts/web")
    assert "statefulset.apps/web" in cluster.out("-n", namespace, "get", "all")
    described = cluster.out("-n", namespace, "describe", "sts", "web")
    assert "create Pod web-0 in StatefulSet web successful" in described
