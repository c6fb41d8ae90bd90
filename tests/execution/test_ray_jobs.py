"""The client of Ray's Jobs API against a web server that errs; tests/ray has a real head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.domain.visible_text import visible
from runlore.execution.targets.engines.ray_jobs import (
    JobExists,
    JobStatus,
    NewJob,
    RayError,
    RayJobs,
    RayUnreachable,
    checked_address,
)
from tests import web_server as answers
from tests.web_server import Answer, Server, says, says_half

JOB = NewJob("runlore-1", "exec runlore-supervisor", metadata={"runlore_run": "r1"})
TAKEN = {"job_id": "runlore-1", "submission_id": "runlore-1"}
KNOWN = {
    "submission_id": "runlore-1",
    "status": "PENDING",
    "message": "It may be waiting for resources",
    "metadata": {"runlore_run": "r1"},
}
HOSTILE = "\x1b[2J\x07 gone\u202e\r\nHTTP/1.1 200 OK" + "x" * 100_000
TRACEBACK = (
    'Traceback (most recent call last):\n  File "job_head.py", line 419, in submit_job\n'
    "ValueError: Job with submission_id runlore-1 already exists. Please use a different one.\n.\n"
)
UNKNOWN = says(404, "Job runlore-1 does not exist", "text/plain")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def jobs(server: Server) -> RayJobs:
    address = f"http://127.0.0.1:{server.server_port}/"
    return RayJobs(address, timeout_s=0.5, submit_timeout_s=0.5)


def test_a_job_is_submitted_with_all_that_was_asked_for(server: Server, jobs: RayJobs) -> None:
    server.answers = [says(200, TAKEN)]

    jobs.submit(
        JOB._replace(runtime_env={"env_vars": {"A": "1"}}, cpus=2, gpus=0.5, resources={"tpu": 1})
    )

    [(method, path, headers, document)] = server.requests
    assert (method, path) == ("POST", "/api/jobs/")
    assert headers["content-type"] == "application/json"
    assert document == {
        "submission_id": "runlore-1",
        "entrypoint": "exec runlore-supervisor",
        "runtime_env": {"env_vars": {"A": "1"}},
        "metadata": {"runlore_run": "r1"},
        "entrypoint_num_cpus": 2,
        "entrypoint_num_gpus": 0.5,
        "entrypoint_resources": {"tpu": 1},
    }


@pytest.mark.parametrize(
    "first",
    [
        says(500, TRACEBACK, "text/plain"),
        answers.hangs_up,
        answers.never_answers,
        says_half(200, TAKEN),
    ],
    ids=["exists-already", "hangs-up", "never-answers", "half"],
)
def test_a_job_that_was_taken_while_its_answer_was_lost_counts_as_submitted(
    first: Answer, server: Server, jobs: RayJobs
) -> None:
    server.answers = [first, says(200, KNOWN)]

    jobs.submit(JOB)

    assert [method for method, *_ in server.requests] == ["POST", "GET"]


def test_another_job_of_the_same_id_is_not_taken_for_ours(server: Server, jobs: RayJobs) -> None:
    server.answers = [
        says(500, TRACEBACK, "text/plain"),
        says(200, {**KNOWN, "metadata": {"runlore_run": "somebody's"}}),
    ]

    with pytest.raises(JobExists, match="has another job 'runlore-1'"):
        jobs.submit(JOB)


@pytest.mark.parametrize(
    ("first", "match"),
    [
        (
            says(500, "RuntimeError: No available agent to submit job.\n"),
            "500: RuntimeError: No av",
        ),
        (says(400, "Traceback\nTypeError: unexpected keyword argument"), "400: TypeError: unexp"),
        (says(422, {"detail": "no"}), '422: {"detail": "no"}'),
        (says(401, "Unauthorized"), "it wants a token: set RAY_AUTH_MODE=token"),
    ],
    ids=["500", "400", "422", "401"],
)
def test_a_job_that_the_cluster_does_not_want_is_an_error_with_its_reason(
    first: Answer, match: str, server: Server, jobs: RayJobs
) -> None:
    server.answers = [first, UNKNOWN]

    with pytest.raises(RayError, match=match) as caught:
        jobs.submit(JOB)

    assert not isinstance(caught.value, RayUnreachable)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (answers.hangs_up, "cannot be asked: its answer is not HTTP"),
        (answers.speaks_no_http, "cannot be asked: its answer is not HTTP"),
        (answers.never_answers, r"no answer within 0\.5 s"),
        (answers.drips, r"no answer within 0\.5 s"),
        (answers.endless_body, "longer than|no answer within"),
        (says_half(200, KNOWN), "its answer breaks off"),
        (answers.redirects_to("http://127.0.0.1:9/"), "redirects are not followed"),
        (says(200, "<html>Sign in</html>", "text/html"), "not answer as a Ray head does .*Sign in"),
        (says(404, "<html>nginx: not found</html>", "text/html"), "not answer as a Ray head"),
        (says(200, [1, 2]), "not answer as a Ray head"),
        (says(200, b"\xff\xfe\x00"), "not answer as a Ray head"),
        (says(200, "[" * 100_000), "not answer as a Ray head"),
        (says(200, {**KNOWN, "status": "DANCING"}), "not answer as a Ray head"),
        (says(200, {**KNOWN, "submission_id": "another"}), "not answer as a Ray head"),
        (says(200, b""), r"\(200: nothing\)"),
        (says(503, "busy"), r"refuses to answer \(503: busy\)"),
        (says(500, HOSTILE), "refuses to answer"),
    ],
    ids=[
        *(
            "hangs-up",
            "garbage",
            "silent",
            "slow",
            "endless",
            "half",
            "redirect",
            "html",
            "html-404",
        ),
        *("list", "no-text", "deep", "unknown-status", "another-job", "empty", "503", "hostile"),
    ],
)
def test_an_answer_that_makes_no_sense_says_nothing_about_a_job(
    answer: Answer, match: str, server: Server, jobs: RayJobs
) -> None:
    server.answers = [answer]

    with pytest.raises(RayUnreachable, match=match) as caught:
        jobs.find("runlore-1")

    message = str(caught.value)
    assert message == visible(message)
    assert len(message) < 1_000
    assert [path for _, path, _, _ in server.requests] == ["/api/jobs/runlore-1"]


def test_no_answer_of_a_server_that_is_not_there_is_an_error_that_names_it(jobs: RayJobs) -> None:
    nobody = RayJobs("http://127.0.0.1:9")

    with pytest.raises(RayUnreachable, match="Ray at http://127.0.0.1:9 cannot be asked: Connecti"):
        nobody.version()


def test_a_job_that_the_cluster_does_not_know_is_none(server: Server, jobs: RayJobs) -> None:
    server.answers = [UNKNOWN]

    assert jobs.find("runlore-1") is None


def test_a_job_is_described_in_text_that_is_safe_to_show(server: Server, jobs: RayJobs) -> None:
    failed = {**KNOWN, "status": "FAILED", "message": HOSTILE, "driver_exit_code": 3}
    server.answers = [says(200, failed)]

    job = jobs.find("runlore-1")

    assert job is not None
    assert (job.status, job.exit_code, job.metadata) == (JobStatus.FAILED, 3, {"runlore_run": "r1"})
    assert job.message == visible(job.message)
    assert len(job.message) < 1_000
    assert job.status.is_over


def test_an_id_with_odd_characters_stays_one_part_of_the_path(
    server: Server, jobs: RayJobs
) -> None:
    server.answers = [says(404, "Job x does not exist")]

    assert jobs.find("../x?y#z") is None
    assert server.requests[0][1] == "/api/jobs/..%2Fx%3Fy%23z"


@pytest.mark.parametrize(
    "answer",
    [says(200, {"stopped": True}), says(200, {"stopped": False}), UNKNOWN],
    ids=["stops", "had-ended", "unknown"],
)
def test_a_job_is_stopped_whether_it_runs_or_not(
    answer: Answer, server: Server, jobs: RayJobs
) -> None:
    server.answers = [answer]

    jobs.stop("runlore-1")

    assert server.requests[0][:2] == ("POST", "/api/jobs/runlore-1/stop")


@pytest.mark.parametrize(
    "answer",
    [says(500, TRACEBACK), says(200, {}), says(404, "nginx")],
    ids=["500", "nothing", "another-404"],
)
def test_a_stop_that_is_not_confirmed_is_an_error(
    answer: Answer, server: Server, jobs: RayJobs
) -> None:
    server.answers = [answer]

    with pytest.raises(RayUnreachable):
        jobs.stop("runlore-1")


def test_the_version_is_that_of_the_head(server: Server, jobs: RayJobs) -> None:
    server.answers = [says(200, {"version": "4", "ray_version": "2.60.0"}), says(200, {})]

    assert jobs.version() == "2.60.0"
    with pytest.raises(RayUnreachable, match="does not answer as a Ray head does"):
        jobs.version()


def test_the_token_of_the_user_is_sent_where_ray_would_send_it(
    server: Server, jobs: RayJobs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("t0k3n\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    server.answers = [UNKNOWN, UNKNOWN, UNKNOWN]

    jobs.find("x")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    jobs.find("x")
    (tmp_path / "token").write_text("t0\nk3n")
    jobs.find("x")

    sent = [headers.get("authorization") for _, _, headers, _ in server.requests]
    assert sent == [None, "Bearer t0k3n", None]


@pytest.mark.parametrize(
    ("address", "match"),
    [
        (None, "takes the URL of the cluster's dashboard"),
        ("", "takes the URL of the cluster's dashboard"),
        ("ray://head:10001", "not an http:// or https:// URL"),
        ("head:8265", "not an http:// or https:// URL"),
        ("http://user:pw@head:8265", "holds a user or a password"),
        ("http://head:8265/?token=x", "has a part after"),
        ("http://head:port", "its port is not a number"),
        ("http://head/\n", "characters that a URL cannot have"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(address: object, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        checked_address(address)

    assert "pw" not in str(caught.value).replace("a password", "")


def test_a_head_may_live_below_a_path(server: Server) -> None:
    server.answers = [UNKNOWN]

    jobs = RayJobs(f"http://127.0.0.1:{server.server_port}/clusters/a/")

    assert jobs.find("x") is None
    assert server.requests[0][1] == "/clusters/a/api/jobs/x"
