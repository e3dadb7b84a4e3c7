"""A headless Chromium, driven as a person would use it."""

import base64
import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from websockets.sync.client import connect

from tests.system import PATIENCE, eventually

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
AT_HAND = bool(CHROMIUM and DRIVER)

EMULATE = "Network.emulateNetworkConditions"

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--lang=en-US",
)


_idle: list[tuple["Browser", ExitStack]] = []


@contextmanager
def borrowed() -> Iterator["Browser"]:
    """Lend an emptied browser of an earlier test, or open a new one."""
    if not _idle:
        stack = ExitStack()
        _idle.append((stack.enter_context(opened()), stack))
    person, stack = _idle.pop()
    try:
        yield person
        person.empty()
    except BaseException:
        stack.close()
        raise
    _idle.append((person, stack))


def close_idle() -> None:
    """Close the browsers that nobody uses."""
    while _idle:
        _, stack = _idle.pop()
        stack.close()


@contextmanager
def opened(*flags: str, width: int = 1280, height: int = 900) -> Iterator["Browser"]:
    """Open a browser with an empty profile and these flags in addition; close it at the end."""
    os.environ["SE_OFFLINE"] = "true"
    with tempfile.TemporaryDirectory(prefix="overlord-browser-", ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = CHROMIUM or ""
        for flag in (*FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        driver.set_script_timeout(120)  # axe-core takes long on a busy machine
        try:
            yield Browser(driver)
        finally:
            driver.quit()


class Browser:
    """One person's browser."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.site = ""
        self._workers = ExitStack()  # inspectors of service workers whose network is cut

    def go(self, path: str) -> None:
        """Open a page of the site."""
        self.driver.get(self.site + path)

    @property
    def path(self) -> str:
        return str(self.driver.current_url).removeprefix(self.site)

    def all(self, css: str) -> list[WebElement]:
        return list(self.driver.find_elements(By.CSS_SELECTOR, css))

    def one(self, css: str) -> WebElement:
        """Wait for the first visible element of this selector, even while another page loads."""

        def look() -> WebElement | None:
            with suppress(StaleElementReferenceException):
                return next((element for element in self.all(css) if element.is_displayed()), None)
            return None

        found = eventually(look)
        assert found is not None
        return found

    def says(self, css: str, text: str, *, seconds: float = PATIENCE) -> None:
        """Wait until an element of this selector contains the text."""

        def look() -> bool:
            with suppress(StaleElementReferenceException):
                return any(text in element.text for element in self.all(css))
            return False

        try:
            eventually(look, seconds=seconds)
        except AssertionError:
            seen = [element.text for element in self.all(css)]
            raise AssertionError(f"{css} does not say {text!r} but {seen}") from None

    def write(self, css: str, text: str) -> None:
        field = self.one(css)
        field.clear()
        field.send_keys(text)

    def press(self, css: str) -> None:
        """Click the first visible element of this selector, even if the page is replacing it."""

        def click() -> bool:
            with suppress(StaleElementReferenceException):
                self.one(css).click()
                return True
            return False

        eventually(click)

    def log_in(self, name: str, password: str) -> None:
        """Log in on the log-in page that is open."""
        self.write("#id_username", name)
        self.write("#id_password", password)
        self.press("main form button[type=submit]")

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, look: Callable[["Browser"], object], *, seconds: float = PATIENCE) -> None:
        eventually(lambda: look(self), seconds=seconds)

    def complaints(self) -> list[str]:
        """Return the errors in the console since the last call: broken scripts, and what the policy refused.

        Leave out the icon that the browser requests by itself for an address that is no page: `/livez/`.
        """
        said = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [message for message in said if "/favicon.ico" not in message]

    def emulate(self, *, width: int, height: int, dark: bool = False, scale: float = 1) -> None:
        """Give the page another screen size, and light or dark colours."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    @contextmanager
    def beginning_with(self, script: str) -> Iterator[None]:
        """Run a script in each page that opens meanwhile, before the page's own."""
        add, remove = (f"Page.{do}ScriptToEvaluateOnNewDocument" for do in ("add", "remove"))
        added = self.driver.execute_cdp_cmd(add, {"source": script})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd(remove, added)

    def empty(self) -> None:
        """Remove all that a test has left: windows, cookies, storage, service workers, a cut network, a size."""
        self._workers.close()
        first, *others = self.driver.window_handles
        for each in others:
            self.driver.switch_to.window(each)
            self.driver.close()
        self.driver.switch_to.window(first)
        self.driver.get("about:blank")
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(EMULATE, _conditions(off=False))
        everything = {"origin": self.site, "storageTypes": "all"}
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", everything)
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        self.emulate(width=1280, height=900)
        self.complaints()

    def cut_network(self, *, off: bool) -> None:
        """Cut the network of the page and of its service worker, or bring it back."""
        conditions = _conditions(off=off)
        self._workers.close()  # the network of a worker stays cut while an inspector is connected
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd(EMULATE, conditions)
        if off:
            for address in self._workers_at():
                inspector = self._workers.enter_context(connect(address, proxy=None, close_timeout=0.5))
                for nth, (method, given) in enumerate([("Network.enable", {}), (EMULATE, conditions)]):
                    inspector.send(json.dumps({"id": nth, "method": method, "params": given}))
                    while json.loads(inspector.recv(timeout=PATIENCE)).get("id") != nth:
                        pass

        else:
            # Chromium sends no such event to a page that it loaded without a network.
            self.run("dispatchEvent(new Event('online'))")

    def _workers_at(self) -> list[str]:
        """Return the addresses at which the service workers of this browser can be inspected."""
        address = self.driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        with urllib.request.urlopen(f"http://{address}/json/list", timeout=PATIENCE) as answer:
            targets = json.load(answer)
        return [each["webSocketDebuggerUrl"] for each in targets if each["type"] == "service_worker"]

    def picture(self, file: Path) -> None:
        """Save a picture of the whole page; for a .webp, a smaller one of the visible part."""
        options = {"format": "png", "captureBeyondViewport": True}
        if file.suffix == ".webp":
            options = {"format": "webp", "quality": 82, "captureBeyondViewport": False}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)
        file.write_bytes(base64.b64decode(shot["data"]))


def _conditions(*, off: bool) -> dict[str, Any]:
    return {"offline": off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
