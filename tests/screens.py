"""Take pictures of every page, phone and desktop, light and dark, for people to look at (`bin/screens`).

    python -m tests.screens URL PASSWORD [FOLDER]

URL is a shop with the demo's events, PASSWORD the one of its `staff` and `buyer`.
"""

import sys
import time
from pathlib import Path

from tests import browser
from tests.browser import Browser

SIZES = {"phone": (390, 844, 2), "desktop": (1280, 900, 1)}


def main(url: str, password: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with browser.opened() as page:
        page.site = url.rstrip("/")
        _take(page, folder, "home", "/")
        _take(page, folder, "login", "/login/?next=/me/")
        _take(page, folder, "signup", "/signup/")
        _take(page, folder, "password-reset", "/password-reset/")
        _take(page, folder, "not-found", "/nothing-here/")
        page.go("/")
        event = page.run("return document.querySelectorAll('[data-event]')[4].dataset.event")
        sold_out = page.run("return document.querySelectorAll('[data-event]')[1].dataset.event")
        _take(page, folder, "event", f"/events/{event}/")
        _take(page, folder, "event-sold-out", f"/events/{sold_out}/")
        page.go("/login/")
        page.log_in("buyer", password)
        _buy(page, folder, event)
        page.driver.delete_all_cookies()
        _take_event_for_readme(page, folder, event)
        page.go("/login/")
        page.log_in("staff", password)
        _take(page, folder, "monitor", "/monitor/")
        _take(page, folder, "pause", f"/events/{event}/sale/")
        _take_monitor_for_readme(page, folder)


def _buy(page: Browser, folder: Path, event: str) -> None:
    page.go(f"/events/{event}/")
    if any(link.is_displayed() for link in page.all(".mine a")):
        page.press(".mine a")
    else:
        page.press("[data-step='1']")
        page.press(".basket button[type=submit]")
    page.one("hold-countdown .face")
    checkout = page.path
    _take(page, folder, "checkout", checkout)
    page.go(checkout)
    page.run("document.querySelector('#token').value = 'card_error'")
    page.press("form.pay button")
    page.one("h1[data-when=failed]")
    _take(page, folder, "checkout-declined", page.path)
    page.emulate(width=390, height=760, scale=1.5)
    page.go(checkout)
    time.sleep(0.7)
    page.picture(folder / "checkout.webp")
    page.emulate(width=1280, height=900)
    page.go(checkout)
    page.run("document.querySelector('#token').value = 'slow'")
    page.press("form.pay button")
    page.one("h1[data-when=processing]")
    _take(page, folder, "checkout-processing", checkout, every=False)
    page.go(checkout)
    page.wait(
        lambda p: p.run("return document.querySelector('payment-status').dataset.stage") == "paid", seconds=20
    )
    _take(page, folder, "checkout-paid", checkout)
    _take(page, folder, "me", "/me/")
    page.go(f"/events/{event}/")
    page.run("document.querySelector('form.order').noValidate = true")
    page.write(".stepper input", "500")
    page.press(".basket button[type=submit]")
    page.one("#error")
    _picture(page, folder, "event-refused")


def _take_event_for_readme(page: Browser, folder: Path, event: str) -> None:
    """Take the small picture of an event, as a visitor who has chosen tickets sees it."""
    page.emulate(width=1120, height=820)
    page.go(f"/events/{event}/")
    page.press("[data-step='1']")
    time.sleep(1.5)
    page.picture(folder / "event.webp")


def _take_monitor_for_readme(page: Browser, folder: Path) -> None:
    page.emulate(width=1120, height=760, dark=True)
    page.go("/monitor/")
    time.sleep(1.5)
    page.picture(folder / "monitor.webp")


def _take(page: Browser, folder: Path, name: str, path: str, *, every: bool = True) -> None:
    for size in SIZES if every else ["desktop"]:
        for dark in (False, True) if every else (False,):
            width, height, scale = SIZES[size]
            page.emulate(width=width, height=height, dark=dark, scale=scale)
            page.go(path)
            time.sleep(0.7)  # for the live state, which the pictures show
            page.picture(folder / f"{name}-{size}-{'dark' if dark else 'light'}.png")
    page.emulate(width=1280, height=900)


def _picture(page: Browser, folder: Path, name: str) -> None:
    for size, (width, height, scale) in SIZES.items():
        page.emulate(width=width, height=height, scale=scale)
        time.sleep(0.3)
        page.picture(folder / f"{name}-{size}-light.png")
    page.emulate(width=1280, height=900)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(*sys.argv[3:4]) if sys.argv[3:] else Path("screens"))
