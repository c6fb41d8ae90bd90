import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9-]*)==[0-9][0-9a-z.]*")


def normalized(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def shipped(pattern: str) -> set[str]:
    """Names inside the wheel of the sources that match, by the mapping of pyproject.toml."""
    return {
        "/".join((*package.split("."), *source.relative_to(ROOT / folder).parts))
        for package, folder in SETUPTOOLS["package-dir"].items()
        for source in (ROOT / folder).rglob(pattern)
    }


def test_every_package_ships() -> None:
    found = {init.removesuffix("/__init__.py").replace("/", ".") for init in shipped("__init__.py")}
    assert found == set(SETUPTOOLS["packages"])


def test_the_wheel_holds_every_module_and_only_one_top_level_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in SETUPTOOLS["package-dir"].values():
        shutil.copytree(
            ROOT / folder,
            source / folder,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)

    pip_wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    built = subprocess.run(
        [*pip_wheel, "--wheel-dir", str(tmp_path), str(source)], capture_output=True, text=True
    )

    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    dist_info = f"runlore-{PYPROJECT['project']['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {"runlore", dist_info}
    assert f"{dist_info}/licenses/LICENSE" in names
    assert {name for name in names if name.endswith(".py")} == shipped("*.py")
    assert {name for name in names if name.endswith("/py.typed")} == shipped("py.typed")


def test_the_layers_contract_names_every_module_and_holds() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [lint_imports, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_constraints_hold_names_and_exact_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert lines == sorted(set(lines))


def test_constraints_pin_every_requirement() -> None:
    project = PYPROJECT["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    required = {normalized(requirement) for requirement in [*project["dependencies"], *extras]}
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert required - pinned == set()


def test_every_folder_of_tests_is_a_package() -> None:
    """Two test modules of the same name would hide each other otherwise."""
    folders = {module.parent for module in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
