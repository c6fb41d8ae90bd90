"""The tasks beside other trackers: what needs none of them."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image

from benchmarks.studio.beside.person import Person
from benchmarks.studio.beside.report import markdown
from benchmarks.studio.beside.sheet import CAPTION, PAGE, Shot, place, sheet
from benchmarks.studio.beside.tasks import TASKS
from benchmarks.studio.beside.trainings import EPOCHS, FAILED, LIVE, check_loss, live, past
from benchmarks.studio.browser import browsing, page_of

COLOURS = ("red", "lime", "blue", "yellow")
PAGE_OF_ALL = """
<button onclick="this.textContent = 'clicked'">go</button>
<input id="text" onkeydown="this.title = event.key">
<select><option>one</option><option>two</option></select>
"""


def shot(colour: str, **options: str) -> Shot:
    png = BytesIO()
    Image.new("RGB", (1280, 800), colour).save(png, "PNG")
    return Shot(colour, png.getvalue(), 2, **options)


def test_a_picture_has_the_pages_of_all_tools_in_their_places() -> None:
    picture = Image.open(BytesIO(sheet([shot(colour) for colour in COLOURS])))

    assert picture.mode == "P"
    seen = []
    for number in range(len(COLOURS)):
        left, top = place(number)
        middle = (left + PAGE[0] // 2, top + CAPTION + PAGE[1] // 2)
        seen.append(picture.convert("RGB").getpixel(middle))
    assert seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


def test_what_is_not_possible_says_why_in_place_of_a_number() -> None:
    found = markdown({"best": [shot("red"), shot("blue", not_possible="no order")]})

    assert f"| {TASKS[0].what} | 2 | no |" in found
    assert f"- {TASKS[0].what}, blue: no order" in found


def test_a_number_of_actions_is_in_words() -> None:
    assert [Shot("x", b"", count).result for count in (1, 3)] == ["1 action", "3 actions"]


@pytest.fixture
def person() -> Iterator[Person]:
    with browsing() as browser, page_of(browser) as page:
        page.set_content(PAGE_OF_ALL)
        yield Person(page)


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.slow
def test_a_click_a_choice_a_key_and_a_text_are_an_action_each(person: Person) -> None:
    page = person.page
    counts = []
    for act in (
        lambda: person.clicks(page.get_by_role("button")),
        lambda: person.sees("clicked"),
        lambda: person.chooses(page.get_by_role("combobox"), "two"),
        lambda: person.types(page.locator("#text"), "loss"),
        lambda: person.presses("Escape"),
        lambda: person.copies_the_address(),
    ):
        act()
        counts.append(person.actions)

    assert counts == [1, 1, 2, 3, 4, 5]
    assert page.get_by_role("combobox").input_value() == "two"
    assert page.locator("#text").input_value() == "loss"


def test_the_trainings_are_two_models_with_seeds_one_that_fails_and_one_that_goes_on() -> None:
    trainings = list(past())

    assert Counter(training.model for training in trainings) == {"resnet": 20, "vit": 20}
    assert len({training.name for training in [*trainings, live()]}) == 41
    assert live().name == LIVE
    failing = []
    for training in trainings:
        try:
            for epoch in range(1, EPOCHS + 1):
                check_loss(training, epoch)
        except FloatingPointError:
            failing.append(training.name)
    assert failing == [FAILED]
    assert min(training.ago_h for training in trainings) < 24 < trainings[0].ago_h


def test_a_training_has_the_same_values_in_every_tool() -> None:
    first, again = next(past()).values(3), next(past()).values(3)

    assert first == again
    assert all(math.isfinite(value) for value in first.values())


@pytest.mark.parametrize("tool", ["runlore", "mlflow", "aim", "trackio"])
def test_each_tool_does_each_task_or_says_why_not(tool: str) -> None:
    ways = importlib.import_module(f"benchmarks.studio.beside.tools.{tool}").WAYS

    assert sorted(ways) == sorted(task.key for task in TASKS)
    assert tool != "runlore" or not any(way.not_possible for way in ways.values())
