"""Fixtures that open a notebook in a private JupyterLab and a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.harness import Lab, OpenNotebook, running_lab

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine. CI sets OSAURUS_REQUIRE_BROWSER, so that there its absence is a failure."""
    found = next(filter(None, map(shutil.which, (*NAMES, MAC))), None)
    if found is None and os.environ.get("OSAURUS_REQUIRE_BROWSER"):
        pytest.fail("no Chromium, and OSAURUS_REQUIRE_BROWSER is set")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


# Not for the whole session: playwright's loop counts as running in this thread, and async tests after it would fail.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 960})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def lab(chromium: str, embedded_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab whose kernels find the embedded model."""
    with running_lab(tmp_path_factory.mktemp("lab"), home=embedded_home) as lab:
        yield lab


@pytest.fixture
def open_notebook(page: Page, lab: Lab) -> Callable[[Path], OpenNotebook]:
    """Opens a copy of a notebook, ready to run; screenshots go to `artifacts/`."""
    return lambda source: OpenNotebook.open(page, lab, source, ROOT / "artifacts")
