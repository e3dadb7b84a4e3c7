"""The screen that `manage.py up` shows when everything is ready."""

import re
from pathlib import Path

import pytest
from django.urls import resolve

from overlord.embedded import console
from overlord.embedded.state import Folder, SavedState


@pytest.mark.parametrize("sends_mail", [False, True])
def test_the_screen_names_the_first_pages_and_each_exists(
    capsys: pytest.CaptureFixture[str], sends_mail: bool
) -> None:
    state = SavedState(demo_loaded=True)
    console.application("http://shop.test", Folder(Path("/data")), state, sends_mail=sends_mail)

    said = capsys.readouterr().out
    places = re.findall(r"http://shop\.test(/\S*)", said)
    assert ("/mailbox/" in places) != sends_mail
    assert {"/", "/office/", "/monitor/", "/admin/"} <= {*places}
    for place in places:
        resolve(place if place.endswith("/") else f"{place}/")
    assert f"staff / {state.demo_password}" in said
