"""Try every operation of `/docs` in Chromium, by its forms and buttons, and print what came of each.

    make browser    # needs the browser and its driver, which Debian has as `chromium` and `chromium-driver`

All is tried at the root, and again behind a proxy that strips a prefix. The browser can resolve no
name; what it has asked for must lie where the page does, and nothing may have gone wrong in its console.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from service import examples
from tests.models import mnist, png
from tests.server import serve

PREFIX = "/digits/api"
PATIENCE = 120.0  # seconds for what takes one, as a rule
IMAGES, LABELS = mnist(2)
FILE = "image/*"
DOWNLOADS = "downloads"

Verify = Callable[[str], bool]


@dataclass(frozen=True)
class Trial:
    """A form, how it is filled in, and what holds for the text of the answer; `None` is whatever stands there."""

    operation: str  # by its `operationId`
    verify: Verify
    kind: str | None = None  # `Content-Type` of the body
    example: str | None = None  # by its summary
    files: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict)  # of parameters


Row = tuple[str, str, str, str]  # where, operation, body, result


# --- what is tried ------------------------------------------------------------------------------


def trials(version: str, number: str) -> list[Trial]:
    """Return one for each kind of body of each operation, given the version of the model, and that under `/v1`."""
    return [*native_trials(), *v2_trials(version), *v1_trials(number)]


def native_trials() -> list[Trial]:
    first, both = said("predictions", 0, "digit"), digits(*LABELS.tolist())
    return [
        Trial("predict", digits(7), "application/json", "files in base64"),
        Trial("predict", digits(7), "application/json", "files as data URLs"),
        Trial("predict", digits(7), "application/json", "28 x 28 pixels"),
        Trial("predict", digits(7, None), "multipart/form-data", files=("seven.png", "notes.pdf")),
        Trial("predict", first(7), FILE, files=("seven.png",), values={"explain": "true", "threshold": "0.5"}),
        Trial("predict", first(7), "application/octet-stream", files=("seven.png",)),
        Trial("predict", both, "application/x-npy", files=("digits.npy",)),
        Trial("read", text("77"), "application/json", "files in base64"),
        Trial("read", text("77"), "application/json", "files as data URLs"),
        Trial("read", text("77"), "multipart/form-data", files=("number.png",), values={"expect": "2"}),
        Trial("read", text("77"), FILE, files=("number.png",), values={"pattern": "[0-9]{1,3}"}),
        Trial("read", text("77"), "application/octet-stream", files=("number.png",), values={"threshold": "0.5"}),
        Trial("health", said("status")("ok")),
        Trial("live", said("status")("alive")),
        Trial("ready", said("status")("ready")),
        Trial("model", said("format")(1)),
        Trial("plot", lambda shown: shown.startswith("an image")),
        Trial("report", lambda shown: "<h1" in shown),
    ]


def v2_trials(version: str) -> list[Trial]:
    infer = [
        Trial("v2_infer", most_likely("outputs", 0, "data"), "application/json"),
        Trial(
            "v2_infer", rows_of_bytes, "application/octet-stream", files=("seven.png",),
            values={"Inference-Header-Content-Length": "0"},
        ),
    ]  # fmt: skip
    of_model = {
        "metadata": said("name")("digits"),
        "ready": said("name")("digits"),
        "config": said("name")("digits"),
        "stats": said("model_stats", 0, "name")("digits"),
    }
    return [
        Trial("v2_server", said("name")("digits")),
        Trial("v2_live", bool),
        Trial("v2_server_ready", bool),
        Trial("v2_stats_all", of_model["stats"]),
        Trial("v2_index", said(0, "state")("READY")),
        *(Trial(f"v2_{name}", verify) for name, verify in of_model.items()),
        *(Trial(f"v2_{name}_version", verify, values={"version": version}) for name, verify in of_model.items()),
        *infer,
        *(at(trial, "version", version) for trial in infer),
    ]


def v1_trials(number: str) -> list[Trial]:
    plain = [
        Trial("v1_predict", most_likely("predictions", 0), "application/json"),
        Trial("v1_classify", lambda shown: bool(ranked(shown)[0][0] == "7"), "application/json"),
        Trial("v1_metadata", said("model_spec", "name")("digits")),
        Trial("v1_status", said("model_version_status", 0, "state")("AVAILABLE")),
    ]
    labelled = [at(trial, "label", "stable") for trial in plain]
    return [Trial("v1_models", bool), *plain, *(at(trial, "version", number) for trial in plain), *labelled]


def at(trial: Trial, name: str, value: str) -> Trial:
    """Return the same for a version or a label."""
    operation, values = f"{trial.operation}_{name}", trial.values | {name: value}
    return Trial(operation, trial.verify, trial.kind, trial.example, trial.files, values)


def said(*keys: str | int) -> Callable[[object], Verify]:
    """Return what makes checks of a value in JSON: `said("status")("ok")`."""
    return lambda expected: lambda shown: bool(value_at(shown, *keys) == expected)


def value_at(shown: str, *keys: str | int) -> Any:
    value = json.loads(shown)
    for key in keys:
        value = value[key]
    return value


def digits(*expected: int | None) -> Verify:
    return lambda shown: [item.get("digit") for item in value_at(shown, "predictions")] == list(expected)


def text(expected: str) -> Verify:
    return said("images", 0, "text")(expected)


def most_likely(*keys: str | int) -> Verify:
    return lambda shown: int(np.argmax(value_at(shown, *keys))) == 7


def rows_of_bytes(shown: str) -> bool:
    """Check an answer that ends with tensors: ten probabilities and a presence."""
    return int(np.frombuffer(shown.encode("latin-1")[-44:-4], "<f4").argmax()) == 7


def ranked(shown: str) -> list[list[Any]]:
    return sorted(value_at(shown, "results", 0), key=lambda pair: -float(pair[1]))


def write_files(folder: Path) -> None:
    """Write what is chosen in forms."""
    array = io.BytesIO()
    np.save(array, IMAGES)
    (folder / "seven.png").write_bytes(png(IMAGES[0]))
    (folder / "number.png").write_bytes(examples.png(examples.sample(), examples.sample()))
    (folder / "digits.npy").write_bytes(array.getvalue())
    (folder / "notes.pdf").write_bytes(b"%PDF-1.4")


# --- the page -----------------------------------------------------------------------------------


class Page:
    """Swagger UI in a browser."""

    def __init__(self, driver: Chrome, url: str, folder: Path) -> None:
        self._driver = driver
        self._url = url
        self._folder = folder
        self.load()

    def load(self) -> None:
        self._driver.get(f"{self._url}/")  # which leads there
        self._tried: set[str] = set()

    def run(self, trial: Trial) -> str:
        """Fill a form in, send it, and return what became of that."""
        if trial.operation in self._tried:  # to fill in a form anew, people load the page anew
            self.load()
        self._tried.add(trial.operation)
        block = self._opened(trial.operation)
        self._fill(block, trial)
        block.find_element(By.CSS_SELECTOR, "button.execute").click()
        status, shown = self._answer(block)
        block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
        try:
            right = trial.verify(shown)
        except (ValueError, LookupError, TypeError, AttributeError):
            right = False
        return f"{status}, {'right' if right else f'wrong: {shown[:300]}'}"

    def _opened(self, operation: str) -> WebElement:
        """Click on an operation, and on "Try it out"."""
        (block,) = self._wait(lambda: self._driver.find_elements(By.CSS_SELECTOR, f'[id$="-{operation}"].opblock'))
        block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
        self._find(block, ".try-out__btn").click()
        self._find(block, "button.execute")
        return block

    def _fill(self, block: WebElement, trial: Trial) -> None:
        if trial.kind:
            Select(self._find(block, "select.content-type")).select_by_value(trial.kind)
        if trial.example:
            Select(self._find(block, ".examples-select-element")).select_by_visible_text(trial.example)
        for count, name in enumerate(trial.files):
            if count:
                block.find_element(By.CSS_SELECTOR, ".json-schema-form-item-add").click()
            choosers = self._wait(lambda: block.find_elements(By.CSS_SELECTOR, "input[type=file]")[count:])
            choosers[0].send_keys(str(self._folder / name))
        for name, value in trial.values.items():
            enter(self._find(block, f'tr[data-param-name="{name}"] :is(input, select)'), value)

    def _answer(self, block: WebElement) -> tuple[str, str]:
        """Wait for an answer, and return its status and text as shown."""
        answer = self._find(block, ".live-responses-table .response")
        status: str = answer.find_element(By.CSS_SELECTOR, ".response-col_status").text
        if links := answer.find_elements(By.CSS_SELECTOR, "a[download]"):
            return status, self._downloaded(links[0])
        if images := answer.find_elements(By.CSS_SELECTOR, "img"):
            width = self._wait(lambda: images[0].get_property("naturalWidth"))  # 0 until it is there
            return status, f"an image of {width} pixels"
        shown: str = answer.find_element(By.CSS_SELECTOR, "code, pre").get_attribute("textContent") or ""
        return status, shown

    def _downloaded(self, link: WebElement) -> str:
        """Click on a link to a file, and return what it holds, a character for each byte."""
        folder = self._folder / DOWNLOADS
        link.click()
        (path,) = self._wait(lambda: [path for path in folder.glob("[!.]*") if path.suffix != ".crdownload"])
        content: bytes = path.read_bytes()
        path.unlink()
        return content.decode("latin-1")

    def _find(self, block: WebElement, selector: str) -> WebElement:
        """Wait for an element that can be seen."""
        visible: list[WebElement] = self._wait(
            lambda: [found for found in block.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()]
        )
        return visible[0]

    def _wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self._driver, PATIENCE, poll_frequency=0.05).until(lambda _: condition())


def enter(control: WebElement, value: str) -> None:
    if control.tag_name == "select":
        Select(control).select_by_value(value)
    else:
        control.clear()
        control.send_keys(value)


# --- the browser and what it asks for -----------------------------------------------------------


@contextmanager
def browser(folder: Path) -> Iterator[Chrome]:
    """Start Chromium without a window, and without names of other machines; what it downloads goes into a folder."""
    options = ChromeOptions()
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / DOWNLOADS)})
    options.add_argument("--headless=new")
    options.add_argument("--window-size=1400,2000")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # root gets none
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    driver = Chrome(options, ChromeService(program("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def program(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    sys.exit(f"{names[0]} is not on this machine; Debian has it in chromium and chromium-driver")


def requested(driver: Chrome) -> list[str]:
    """Return the addresses that the browser has asked for since it was asked here."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if urlsplit(url).scheme not in ("data", "blob")]


def complaints(driver: Chrome) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def is_cut_off(driver: Chrome, url: str) -> bool:
    """Tell whether a name resolves to nothing, even that of this machine, and the log shows who asked for it."""
    name = url.replace("127.0.0.1", "localhost") + "/health"
    try:
        driver.get(name)
    except WebDriverException as exc:
        return "ERR_NAME_NOT_RESOLVED" in str(exc) and set(requested(driver)) == {name}
    return False


# --- behind a prefix ----------------------------------------------------------------------------


@contextmanager
def stripping(prefix: str, upstream: str) -> Iterator[str]:
    """Run a proxy that strips a prefix, and knows nothing without one, and yield where."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc)
            connection.request(self.command, self.path.removeprefix(prefix), body, dict(self.headers))
            response = connection.getresponse()
            self.send_response(response.status)
            for name, value in response.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.read())
            connection.close()
            return None

        do_GET = do_POST = forward  # noqa: N815  # as http.server has it

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
        finally:
            proxy.shutdown()
            thread.join()


# --- all ----------------------------------------------------------------------------------------


def documented(url: str) -> set[tuple[str, str | None]]:
    """Return all operations that there are, each with every kind of body."""
    paths = read(f"{url}/openapi.json")["paths"]
    return {
        (operation["operationId"], kind)
        for methods in paths.values()
        for operation in methods.values()
        for kind in operation.get("requestBody", {}).get("content", {None: None})
    }


def read(url: str) -> Any:
    return httpx.get(url, timeout=PATIENCE).raise_for_status().json()


def asked_for(url: str) -> list[Trial]:
    version = read(f"{url}/health")["model"]["version"]
    number = read(f"{url}/v1/models/digits")["model_version_status"][0]["version"]
    found = trials(version, number)
    left = documented(url) ^ {(trial.operation, trial.kind) for trial in found}
    assert not left, f"tried and documented differ in {left}"
    return found


def try_all(driver: Chrome, url: str, place: str, folder: Path) -> Iterator[Row]:
    """Yield a row for each trial, and one of what the browser did beside."""
    page = Page(driver, url, folder)
    for trial in asked_for(url):
        try:
            result = page.run(trial)
        except (TimeoutException, WebDriverException) as exc:
            result = f"failed: {exc.msg or type(exc).__name__}"
        yield place, trial.operation, trial.example or trial.kind or "", result
    asked, said = requested(driver), complaints(driver)
    strangers = [address for address in asked if not address.startswith(f"{url}/")]
    yield place, f"{len(asked)} requests went to the service", "", outcome(bool(asked) and not strangers, strangers)
    yield place, "the console is silent", "", outcome(not said, said)


def outcome(holds: bool, otherwise: object) -> str:
    return "right" if holds else f"wrong: {otherwise}"


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as home, browser(Path(home)) as driver:
        folder, models = Path(home), Path(home) / "models"
        write_files(folder)
        with serve(models, default_model=True) as server:
            yield "/", "names resolve to nothing", "", outcome(is_cut_off(driver, server.url), "one did")
            complaints(driver)  # of that
            yield from try_all(driver, server.url, "/", folder)
        with serve(models, default_model=True, root_path=PREFIX) as server, stripping(PREFIX, server.url) as url:
            yield from try_all(driver, url, PREFIX, folder)


def main() -> None:
    wrong = 0
    for place, operation, body, result in run():
        print(f"{place:12} {operation:34} {body:26} {result}", flush=True)
        wrong += not result.endswith("right")
    sys.exit(f"{wrong} went wrong" if wrong else 0)


if __name__ == "__main__":
    main()
