"""Kubernetes Jobs as a kind of compute target: what a package of your own may hold.

It talks to the API over plain HTTP, as through `kubectl proxy`, or with the token of a file. The
image has runlore, and the workspace is in PostgreSQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import (
    TIME_LIMIT,
    Engine,
    EngineUnavailable,
    Job,
    JobState,
    Phase,
)


class KubernetesJobs(Engine):
    kind = "kubernetes"
    carries_secrets = True  # In a Secret, which goes with its Job.
    own_variables = ("KUBERNETES_",)

    @classmethod
    def checked(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        given = {"namespace": "default", "token_file": None, **settings}
        if set(given) != {"server", "image", "namespace", "token_file"}:
            raise ComputeTargetException("it takes server, image, namespace and token_file")
        return given

    def submit(self, job: Job) -> str:
        name = re.sub(r"[^a-z0-9]+", "-", job.name.lower())[:63].strip("-")
        container = {
            "name": "supervisor",
            "image": self.settings["image"],
            "command": list(job.words),
            "envFrom": [{"secretRef": {"name": name}}],
            "env": [{"name": "KUBERNETES_JOB_NAME", "value": name}],
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": int(job.grace_s) + 30,
            "containers": [container],
        }
        new = {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        uid = self._ask("POST", "apis/batch/v1", "jobs", new)["metadata"]["uid"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
        keys = {k: v for k, v in job.environment.items() if re.fullmatch(r"[-._a-zA-Z0-9]+", k)}
        secret = {"metadata": {"name": name, "ownerReferences": [owner]}, "stringData": keys}
        self._ask("POST", "api/v1", "secrets", secret)  # The pod waits for it.
        return name

    def poll(self, handle: str) -> JobState:
        status = self._ask("GET", "apis/batch/v1", f"jobs/{handle}").get("status")
        if status is None:
            return JobState(Phase.UNKNOWN, "the cluster has no such job")
        for end in status.get("conditions", ()):
            if end["type"] in ("Complete", "Failed") and end["status"] == "True":
                code = TIME_LIMIT if end.get("reason") == "DeadlineExceeded" else None
                return JobState(Phase.ENDED, f"{end['type']}: {end.get('message', '')}", code)
        return JobState(Phase.EXECUTING if status.get("ready") else Phase.WAITING)

    def cancel(self, handle: str) -> None:
        self._ask("DELETE", "apis/batch/v1", f"jobs/{handle}?propagationPolicy=Foreground")

    def own_handle(self, environment: Mapping[str, str]) -> str | None:
        return environment.get("KUBERNETES_JOB_NAME")

    def _ask(self, method: str, group: str, path: str, content: Any = None) -> dict[str, Any]:
        """The API's answer; empty if the object does not exist."""
        url = f"{self.settings['server']}/{group}/namespaces/{self.settings['namespace']}/{path}"
        request = Request(url, json.dumps(content).encode() if content else None, method=method)
        request.add_header("Content-Type", "application/json")
        if self.settings["token_file"]:
            token = Path(self.settings["token_file"]).read_text("utf-8").strip()
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            if error.code == 404 and method != "POST":
                return {}
            raise ComputeTargetException(f"{url}: {error}: {error.read(500)!r}") from error
        except URLError as error:
            raise EngineUnavailable(f"{url}: {error.reason}") from error
