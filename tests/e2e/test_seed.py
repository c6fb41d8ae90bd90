"""The tour of Azure's article on managing runs, on runlore: its code as it stands.

What is changed, and all that is: `azureml.core` is `runlore`; the notebook's `!more` is left out;
`parent.py`, which uses a workspace `ws` that the article does not define there, gets the line
`ws = run.experiment.workspace`. The scripts that it submits and does not show are written here.
The two pieces that belong into the script of a child run in a process of their own.
"""

from __future__ import annotations

import re
import textwrap
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import VERSION, ComputeTarget, Experiment, ScriptRunConfig, Workspace
from tests.fresh_python import run_python

ARTICLE = Path(__file__).with_name("manage-runs.md")
MARK = "--- end of block ---"

VERSION_BLOCK, PARENT_SCRIPT, IN_CHILD_SCRIPT, ROOT_RUN = 0, 10, 11, 13
WAITED_FOR = 9

HELLO_WITH_DELAY = """
import time
from runlore import Run
Run.get_context().log("message", "Hello from run!")
time.sleep(600)
"""
HELLO_WITH_CHILDREN = """
from runlore import Run
run = Run.get_context()
for count in range(5):
    with run.child_run() as child:
        child.log("Hello from child run", count)
print("Hello from five children")
"""
CHILD = """
import sys
from runlore import Run
"""


def blocks() -> list[str]:
    """The article's Python blocks on runlore."""
    found = re.findall(r"^ *```[pP]ython\n(.*?)^ *```$", ARTICLE.read_text(), re.DOTALL | re.M)
    return [textwrap.dedent(block).replace("azureml.core", "runlore") for block in found]


def runnable(block: str) -> str:
    """The block without what only a notebook understands."""
    return block.replace("!more hello_with_children.py\n", "")


def parent_and_child() -> dict[str, str]:
    """The article's two scripts by name; the second one is made of its pieces for child runs."""
    parent_script, in_child, root_run = (
        blocks()[number] for number in (PARENT_SCRIPT, IN_CHILD_SCRIPT, ROOT_RUN)
    )
    known = "run = Run.get_context()\n"
    assert parent_script.count(known) == 1
    target = 'compute_target = ws.compute_targets["gpu-cluster"]\n'
    assert parent_script.count(target) == 1
    parent = parent_script.replace(target, "").replace(
        known, f"{known}ws = run.experiment.workspace\n{target}"
    )
    return {
        "parent.py": parent,
        "child.py": f"{CHILD}{in_child}{root_run}print(sys.argv[1:])\n",
    }


def script(code: list[str]) -> str:
    return "".join(f"{block}\nprint({MARK!r})\n" for block in code)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[int, str]]]:
    """The project in which the article's blocks were run in order, and what each printed."""
    project = tmp_path_factory.mktemp("tour")
    with Workspace.create("lab", path=project / "lab") as ws:
        ws.write_config(project)
    (project / "hello_with_delay.py").write_text(HELLO_WITH_DELAY)
    (project / "hello_with_children.py").write_text(HELLO_WITH_CHILDREN)
    code = {number: runnable(block) for number, block in enumerate(blocks())}
    for number in (PARENT_SCRIPT, IN_CHILD_SCRIPT, ROOT_RUN):
        del code[number]
    # The article imports the package after the first block that uses it.
    printed = run_python("import runlore\n" + script(list(code.values())), cwd=project)
    yield project, dict(zip(code, printed.split(f"{MARK}\n")[:-1], strict=True))


def test_the_article_is_whole() -> None:
    assert len(blocks()) == 19
    assert sum("submit" in block for block in blocks()) == 4


def test_the_version_is_printed(tour: tuple[Path, dict[int, str]]) -> None:
    assert tour[1][VERSION_BLOCK] == f"{VERSION}\n"


def test_a_notebooks_run_is_monitored(tour: tuple[Path, dict[int, str]]) -> None:
    _, printed = tour

    assert (printed[1], printed[2]) == ("", "")
    assert printed[3] == "Running\n"
    details = literal_eval(printed[4])
    assert details["status"] == "Running"
    assert printed[5] == "Completed\n"
    assert printed[6] == "Running\nCompleted\n"


def test_runs_are_canceled_and_failed(tour: tuple[Path, dict[int, str]]) -> None:
    _, printed = tour

    assert printed[7] == "NotStarted\nCanceled\n"
    assert printed[8] == "Failed\n"


def test_children_are_created_and_found(tour: tuple[Path, dict[int, str]]) -> None:
    project, printed = tour

    assert re.fullmatch(
        r"RunId: (?P<id>\S+)\nWeb View: runlore run show [^\n]+\n\n"
        r"Streaming user_logs/std_log.txt\n=+\n"
        r"Hello from five children\n\nExecution Summary\n=+\n"
        r"RunId: (?P=id)\nWeb View: runlore run show [^\n]+\n\nCompleted\n",
        printed[WAITED_FOR],
    )
    assert printed[12].startswith("<generator object")
    exp = Experiment(Workspace.from_config(project), "explore-runs")
    parent_run = next(exp.get_runs())
    children = list(parent_run.get_children())
    assert parent_run.get_status() == "Completed"
    assert [child.get_status() for child in children] == ["Completed"] * 5
    assert [child.get_metrics() for child in children] == [
        {"Hello from child run": c} for c in (4, 3, 2, 1, 0)
    ]


def test_the_submitted_script_has_children_of_its_own(
    tour: tuple[Path, dict[int, str]],
) -> None:
    project, _ = tour
    exp = Experiment(Workspace.from_config(project), "explore-runs")

    [submitted, *_] = exp.get_runs(type="azureml.scriptrun")

    assert submitted.get_status() == "Completed"
    assert len(list(submitted.get_children())) == 5


def test_a_parent_submits_its_children_to_a_cluster_and_waits(tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    ComputeTarget.attach(ws, "gpu-cluster", slots=2)
    for name, code in parent_and_child().items():
        (tmp_path / name).write_text(code)
    exp = Experiment(ws, "explore-runs")

    parent = exp.submit(ScriptRunConfig(str(tmp_path), "parent.py"))
    parent.wait_for_completion()

    children = list(parent.get_children())
    assert [child.get_status() for child in children] == ["Completed"] * 3
    assert {child.get_details()["target"] for child in children} == {"gpu-cluster"}
    fruits = {child.get_details()["runDefinition"]["arguments"][1] for child in children}
    assert fruits == {"Apple", "Banana", "Orange"}
    metrics = parent.get_metrics()
    assert metrics["Status"] == ["Launching Apple", "Launching Banana", "Launching Orange"]
    assert set(metrics["MyMetric"]) == {f"Data from child run {child.id}" for child in children}


def test_properties_are_written_once(tour: tuple[Path, dict[int, str]]) -> None:
    project, printed = tour

    properties = literal_eval(printed[14])
    assert properties["author"] == "azureml-user"
    message = printed[15]
    for part in ("'author'", "already 'azureml-user'", "cannot become 'different-user'"):
        assert part in message


def test_tags_are_set_and_replaced(tour: tuple[Path, dict[int, str]]) -> None:
    _, printed = tour

    first, second = map(literal_eval, printed[16].splitlines())
    assert first == {"quality": "great run"}
    assert second == {"quality": "fantastic run"}
    assert literal_eval(printed[17]) == {"quality": "fantastic run", "worth another look": None}


def test_runs_are_found_by_tags_and_properties(tour: tuple[Path, dict[int, str]]) -> None:
    project, printed = tour
    assert printed[18] == ""

    exp = Experiment(Workspace.from_config(project), "explore-runs")
    queries = [line for line in blocks()[18].splitlines() if line]

    found = [eval(query, {"exp": exp}) for query in queries]
    assert [len(runs) for runs in found] == [1, 1]
    assert found[0] == found[1]
    assert found[0][0].get_properties()["author"] == "azureml-user"


def test_a_child_knows_its_parent_and_logs_to_the_root(tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    root = Experiment(ws, "explore-runs").start_logging(outputs=False, snapshot_directory=None)
    parent = root.child_run()
    child = parent.child_run()
    in_child_script, root_run = blocks()[IN_CHILD_SCRIPT], blocks()[ROOT_RUN]

    printed = run_python(
        f"from runlore import Run\n{in_child_script}print(child_run.parent.id)\n{root_run}",
        cwd=tmp_path,
        RUNLORE_WORKSPACE_URI=ws.uri,
        RUNLORE_RUN_ID=child.id,
    )

    assert printed == f"{parent.id}\n"
    assert root.get_metrics() == {"MyMetric": f"Data from child run {child.id}"}
    assert child.get_status() == "Running"
