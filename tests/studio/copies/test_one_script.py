"""Modules become one script; a form that is not known is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore.studio.copies.one_script import one_script
from runlore.studio.shell.pages import STATIC


def test_a_module_stands_after_those_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "main.js").write_text(
        'import { two as three } from "./x.js";\n'
        'import other from "./below/other.js";\nrun(three, other, import.meta.url);\n'
    )
    (tmp_path / "x.js").write_text("export const two = 2;\nexport function four() {}\n")
    (tmp_path / "below" / "other.js").write_text(
        'import { two } from "../x.js";\nlet a = two;export{a as default};\n'
    )

    script = one_script(tmp_path, "main.js")

    places = [
        script.index(f"modules['{name}'] = ") for name in ("x.js", "below/other.js", "main.js")
    ]
    assert places == sorted(places)
    assert "return { two, four };" in script
    assert "return { default: a };" in script
    assert "const { two: three } = modules['x.js'];" in script
    assert "const other = modules['below/other.js'].default;" in script
    assert "document.baseURI" in script


@pytest.mark.parametrize(
    "text",
    ['import * as all from "./x.js";', 'import "./x.js";', "export default 3;", "export let x;"],
    ids=["star", "bare", "default", "let"],
)
def test_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "main.js").write_text(f"{text}\n")

    with pytest.raises(AssertionError, match="not known"):
        one_script(tmp_path, "main.js")


def test_a_circle_is_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.js").write_text(f'import {{ x }} from "./{other}.js";\n')

    with pytest.raises(AssertionError, match="circle"):
        one_script(tmp_path, "a.js")


def test_the_pages_of_the_studio_are_such_modules() -> None:
    script = one_script(STATIC, "main.js")

    assert script.count("modules['main.js'] = ") == 1
    assert "modules['vendor/uplot@1.6.32/uplot.js'] = " in script
