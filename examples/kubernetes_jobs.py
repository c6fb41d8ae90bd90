"""Kubernetes Jobs as a kind of compute target: what a package of your own may hold.

It talks to the API as through `kubectl proxy`, or with the token of a file. The image has runlore,
and the workspace is in PostgreSQL.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from runlore.execution.targets.engines.engine import REQUIRED, Engine, Job, JobState, Phase
from runlore.execution.targets.engines.http_api import HttpApi, dns_label, token_in


class KubernetesJobs(Engine):
    kind = "kubernetes"
    takes: ClassVar = {
        "server": REQUIRED,
        "image": REQUIRED,
        "namespace": "default",
        "token_file": None,
    }
    carries_secrets = True  # In a Secret, which goes with its Job.
    own_variables = ("KUBERNETES_",)
    handle_variable = "KUBERNETES_JOB_NAME"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._api = HttpApi(settings["server"], token=token_in(settings["token_file"]))
        self._jobs = f"apis/batch/v1/namespaces/{settings['namespace']}/jobs"
        self._secrets = f"api/v1/namespaces/{settings['namespace']}/secrets"

    def submit(self, job: Job) -> str:
        name = dns_label(job.name)
        container = {
            "name": "supervisor",
            "image": self.settings["image"],
            "command": list(job.words),
            "envFrom": [{"secretRef": {"name": name}}],
            "env": [{"name": self.handle_variable, "value": name}],
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": int(job.grace_s) + 30,
            "containers": [container],
        }
        new = {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        uid = self._api.post(self._jobs, new)["metadata"]["uid"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
        keys = {k: v for k, v in job.environment.items() if re.fullmatch(r"[-._a-zA-Z0-9]+", k)}
        secret = {"metadata": {"name": name, "ownerReferences": [owner]}, "stringData": keys}
        self._api.post(self._secrets, secret)  # The pod waits for it.
        return name

    def poll(self, handle: str) -> JobState:
        job = self._api.get(self._jobs, handle)
        if job is None:
            return JobState(Phase.UNKNOWN, "the cluster has no such job")
        status = job.get("status", {})
        for end in status.get("conditions", ()):
            if end["type"] in ("Complete", "Failed") and end["status"] == "True":
                return JobState(Phase.ENDED, f"{end['type']}: {end.get('message', '')}")
        return JobState(Phase.EXECUTING if status.get("ready") else Phase.WAITING)

    def cancel(self, handle: str) -> None:
        self._api.delete(self._jobs, handle, query="propagationPolicy=Foreground")

    def find(self, name: str) -> str | None:
        return dns_label(name) if self._api.get(self._jobs, dns_label(name)) else None
