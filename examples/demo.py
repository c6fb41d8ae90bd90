"""A real hyper-parameter search: tracked, queried, submitted, audited.

Ridge regression on scikit-learn's bundled diabetes data: one parent run, one child per alpha, one
grandchild per fold of the cross-validation. Run it with `make demo`; running it again adds another
search to the same workspace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from tampering import prove, tamper

from runlore import Experiment, Run, ScriptRunConfig, Workspace
from runlore.exceptions import PropertyConflict

FOLDER = Path("demo-output")
ALPHAS = np.logspace(-4, 3, 22)
FOLDS = 4
EPOCHS = 30

Floats = NDArray[np.float64]
console = Console(width=110)


def main() -> None:
    show(FOLDER / "workspace", lambda position: tamper(FOLDER / "workspace", position, console))
    console.print(f"\nThe workspace is in [bold]{FOLDER}/workspace[/], the chart beside it.")
    console.print("Look at it in a browser: [bold]make studio-demo[/]")


def show(place: Path | str, tamper: Callable[[int], None]) -> None:
    """Show everything in the workspace at a place; `tamper` is given a position of its log."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Workspace.create("demo", path=place, exist_ok=True) as ws:
        experiment = Experiment(ws, "diabetes-ridge")
        search = train(experiment)
        show_lifecycle(search)
        find_runs(experiment, search)
        refuse_a_property(search)
        print_leaderboard(ws, search)
        print_history(search)
        draw_chart(search)
        submit_scripts(ws)
        tagged_at = look_back(ws, search)
        prove(ws, tagged_at, FOLDER, console)
    tamper(tagged_at)


def train(experiment: Experiment) -> Run:
    """Run the whole search; return its parent run."""
    features, target = load_diabetes(return_X_y=True)
    features = StandardScaler().fit_transform(features)
    with experiment.start_logging(
        outputs=False, snapshot_directory=Path(__file__).parent, display_name="ridge search"
    ) as search:
        search.add_properties(
            {
                "author": "demo-user",
                "data": "sklearn.datasets.load_diabetes",
                "data_sha256": hashlib.sha256(features.tobytes()).hexdigest(),
            }
        )
        scores = [
            (alpha, train_alpha(search, alpha, features, target))
            for alpha in track(ALPHAS, "searching alpha", console=console)
        ]
        search.log_table(
            "r2 by alpha",
            {"alpha": [alpha for alpha, _ in scores], "r2": [score for _, score in scores]},
        )
        search.log_image("r2 curve", plot=curve(scores))
        mark_best(search)
        break_two(search, features, target)
    return search


def train_alpha(search: Run, alpha: float, features: Floats, target: Floats) -> float:
    """Cross-validate one alpha as a child run, a grandchild per fold; return the mean R²."""
    with search.child_run() as child:
        child.display_name = f"alpha={alpha:.2g}"
        child.tag("alpha", f"{alpha:.6g}")
        child.add_properties({"author": "demo-user", "model": "Ridge"})
        folds = KFold(FOLDS, shuffle=True, random_state=0).split(features)
        scores = [
            train_fold(child, number, alpha, features, target, train_rows, test_rows)
            for number, (train_rows, test_rows) in enumerate(folds)
        ]
        child.log("r2", float(np.mean(scores)))
        child.log("r2_std", float(np.std(scores)))
        return float(np.mean(scores))


def train_fold(
    child: Run,
    number: int,
    alpha: float,
    features: Floats,
    target: Floats,
    train_rows: NDArray[np.intp],
    test_rows: NDArray[np.intp],
) -> float:
    """Log the error of every epoch as a grandchild run, and the closed form's R² at the end."""
    with child.child_run() as fold:
        fold.tag("fold", str(number))
        sgd = SGDRegressor(alpha=alpha / len(train_rows), random_state=number, eta0=0.003)
        for epoch in range(EPOCHS):
            sgd.partial_fit(features[train_rows], target[train_rows])
            fold.log_metrics(
                {
                    "train_rmse": rmse(sgd, features[train_rows], target[train_rows]),
                    "val_rmse": rmse(sgd, features[test_rows], target[test_rows]),
                },
                step=epoch,
            )
        ridge = Ridge(alpha=alpha).fit(features[train_rows], target[train_rows])
        score = float(ridge.score(features[test_rows], target[test_rows]))
        fold.log("r2", score)
        return score


def rmse(model: SGDRegressor, features: Floats, target: Floats) -> float:
    return float(np.sqrt(np.mean((model.predict(features) - target) ** 2)))


def curve(scores: Sequence[tuple[float, float]]) -> Figure:
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.semilogx([alpha for alpha, _ in scores], [score for _, score in scores], marker="o")
    axes.set(xlabel="alpha", ylabel="cross-validated R²", title="Ridge on the diabetes data")
    return figure


def mark_best(search: Run) -> None:
    """Tag the best child, and a second one that deserves a look."""
    children = sorted(search.get_children(), key=lambda run: -run.get_metrics("r2")["r2"])
    children[0].tag("quality", "great run")
    children[0].tag("quality", "fantastic run")
    children[1].tag("worth another look")


def break_two(search: Run, features: Floats, target: Floats) -> None:
    """Cancel one child and let another fail; the parent completes anyway."""
    canceled = search.child_run()
    canceled.tag("alpha", "1e9")
    canceled.cancel()
    try:
        with search.child_run() as failing:
            failing.tag("alpha", "-1")
            Ridge(alpha=-1).fit(features, target)
    except ValueError as error:
        console.print(f"one child failed on purpose: [red]{str(error).splitlines()[0]}[/]")


SUBMITTED = """
import time
from runlore import Run
run = Run.get_context()
for epoch in range(3):
    run.log("loss", 1 / (epoch + 1))
    print("epoch", epoch)
"""
STAYS = "import time; time.sleep(600)"


def submit_scripts(ws: Workspace, target: str = "local") -> None:
    """Submit one script and stream its output; submit another and cancel it."""
    console.rule("submitted scripts" if target == "local" else f"submitted scripts on {target}")
    source = FOLDER / "scripts"
    source.mkdir(exist_ok=True)
    (source / "train.py").write_text(SUBMITTED)
    (source / "stays.py").write_text(STAYS)
    experiment = Experiment(ws, "submitted-scripts")
    train = ScriptRunConfig(str(source), "train.py", compute_target=target)
    trained = experiment.submit(train)
    stays = experiment.submit(ScriptRunConfig(str(source), "stays.py", compute_target=target))
    trained.wait_for_completion(show_output=True)
    stays.cancel()
    console.print(f"{trained.get_status()}, {trained.get_metrics()}")
    console.print(f"the second script: {stays.get_status()}")


def show_lifecycle(search: Run) -> None:
    console.rule("each run has a status of its own")
    count: dict[str, int] = {}
    for child in search.get_children():
        count[child.get_status()] = count.get(child.get_status(), 0) + 1
    console.print(f"parent: {search.get_status()}, its children: {count}")


def find_runs(experiment: Experiment, search: Run) -> None:
    console.rule("tags, properties, descendants")
    best = next(
        experiment.get_runs(
            tags={"quality": "fantastic run"},
            properties={"author": "demo-user"},
            include_children=True,
        )
    )
    console.print(f"quality = fantastic run: {best.display_name}, {best.get_tags()}")
    flagged = experiment.get_runs(tags="worth another look", include_children=True)
    console.print(f"worth another look: {[run.display_name for run in flagged]}")
    descendants = list(search.get_children(recursive=True))
    first_folds = list(search.get_children(recursive=True, tags={"fold": "0"}))
    console.print(f"{len(descendants)} descendants, {len(first_folds)} of them first folds")


def refuse_a_property(search: Run) -> None:
    console.rule("properties never change")
    try:
        search.add_properties({"author": "somebody-else"})
    except PropertyConflict as error:
        console.print(f"refused: {error}")


def print_leaderboard(ws: Workspace, search: Run) -> None:
    console.rule("leaderboard, by SQL")
    rows = ws.sql(
        """
        SELECT r.display_name, r.status, m.last AS r2, s.last AS r2_std
        FROM runs r
        JOIN metrics m ON m.run_id = r.run_id AND m.metric = 'r2'
        JOIN metrics s ON s.run_id = r.run_id AND s.metric = 'r2_std'
        WHERE r.parent_id = ?
        ORDER BY m.last DESC
        LIMIT 5
        """,
        [search.id],
    ).fetchall()
    table = Table("run", "status", "R² (mean)", "R² (std)")
    for name, status, r2, r2_std in rows:
        table.add_row(name, status, f"{r2:.4f}", f"{r2_std:.4f}")
    console.print(table)


def print_history(search: Run) -> None:
    console.rule("history of the best run")
    best = next(search.get_children(tags={"quality": "fantastic run"}))
    for change in best.history():
        console.print(str(change), highlight=False, soft_wrap=True)


def look_back(ws: Workspace, search: Run) -> int:
    """Show the best child before and after its tag changed; return the position of the change."""
    console.rule("audit: an earlier state, and the changes since")
    best = next(search.get_children(tags={"quality": "fantastic run"}))
    tagged = next(change for change in best.history() if change.key == "quality")
    console.print(f"as of {tagged.time}: {ws.as_of(tagged.position).get_run(best.id).get_tags()}")
    console.print(f"now: {best.get_tags()}")
    for change in best.diff(tagged.position):
        if change.what == "tag":
            console.print(str(change), highlight=False, soft_wrap=True)
    return max(change.position for change in best.history() if change.key == "quality")


def draw_chart(search: Run) -> None:
    """Draw the validation error of the best child's folds, read back as arrays."""
    best = next(search.get_children(tags={"quality": "fantastic run"}))
    figure, axes = plt.subplots(figsize=(6, 4))
    for fold in best.get_children():
        steps, _, values = fold.values("val_rmse")
        axes.plot(steps, values, label=f"fold {fold.get_tags()['fold']}")
    axes.set(xlabel="epoch", ylabel="validation RMSE", title=best.display_name)
    axes.legend()
    figure.savefig(FOLDER / "chart.png", dpi=120)


if __name__ == "__main__":
    main()
