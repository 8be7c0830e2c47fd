"""``python -m product_importer.local.pictures``: the pictures of README.md, in light and dark.

Everything is started on data of its own, filled through the API as a program would, and looked at
in the browser that the tests use. The pictures go to docs/pictures.
"""

import io
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import requests
from playwright.sync_api import Browser, Page, sync_playwright

from product_importer.environment import BASE_DIR
from product_importer.local.browser import find_chromium
from product_importer.local.processes import free_port, wait_until
from product_importer.local.stack import Stack

FOLDER = BASE_DIR / "docs" / "pictures"
PASSWORD = "pictures-password-1"  # noqa: S105 (of a database that lives for one run)
SIZE = {"width": 1280, "height": 860}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

KINDS = ("Desk lamp", "Wall clock", "Coffee cup", "Wool rug", "Bookshelf", "Garden chair", "Vase")
COLOURS = ("white", "oak", "graphite", "sage", "brass")
BRANDS = ("Nordlicht", "Haus & Hof", "Acme", "Lumen")

Row = tuple[str, str, str, str, int]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        stack = Stack(Path(folder), port=free_port(8770))
        Path(folder).chmod(0o755)  # the embedded PostgreSQL is another user where this is root
        try:
            _start(stack)
            jobs = _fill(_api(stack))
            FOLDER.mkdir(exist_ok=True)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=find_chromium(), args=["--no-sandbox"]
                )
                for scheme in SCHEMES:
                    _take_all(browser, f"http://127.0.0.1:{stack.port}", scheme, jobs)
                browser.close()
        finally:
            stack.stop()


def _start(stack: Stack) -> None:
    stack.start_stores(redis_port=0)
    stack.manage("migrate", "--no-input")
    stack.manage("collectstatic", "--no-input")
    stack.manage("make_admin", "mara", environ={"ADMIN_PASSWORD": PASSWORD})
    stack.start_web()
    stack.start_worker()
    stack.start_beat()
    stack.wait_for_web()


class _Api:
    def __init__(self, base: str, token: str) -> None:
        self.base = f"{base}/api/v1"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Token {token}"

    def post(self, path: str, **values: Any) -> dict[str, Any]:
        answer = self.session.post(f"{self.base}/{path}", timeout=300, **values)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def upload(self, name: str, text: str, *, until: str, **fields: str) -> int:
        """Import a text; wait until it is where it is to be shown."""
        file = {"file": (name, io.BytesIO(text.encode()))}
        number = int(self.post("imports/", files=file, data=fields)["id"])
        url = f"{self.base}/imports/{number}/"
        wait_until(
            lambda: self.session.get(url, timeout=60).json()["status"] == until,
            seconds=300,
            what=f"the import of {name} is {until}",
        )
        return number


def _api(stack: Stack) -> _Api:
    return _Api(f"http://127.0.0.1:{stack.port}", stack.manage("api_token", "mara").strip())


def _fill(api: _Api) -> dict[str, int]:
    """A catalogue of some thousand products; imports in the states that are shown, by name."""
    api.post("fields/ready-made/")
    rows = list(_rows(4_000))
    api.upload("autumn.csv", _csv(rows), until="completed")
    dearer = [
        (sku, name, f"{float(price) * (1 + n % 9 / 40):.2f}", brand, stock)
        for n, (sku, name, price, brand, stock) in enumerate(rows[:900])
    ]
    german = "Nordlicht GmbH, Preisliste\n\nArtikelnummer;Bezeichnung;VK-Preis;lieferbar;Marke\n"
    german += "".join(
        f"{sku};{name};{price.replace('.', ',')};{'ja' if stock else 'nein'};{brand}\n"
        for sku, name, price, brand, stock in rows[:300]
    )
    return {
        "review": api.upload("prices.csv", _csv(dearer), until="awaiting_review", review="true"),
        "matching": api.upload(
            "nordlicht.csv", german, until="awaiting_mapping", on_unclear="always"
        ),
    }


def _rows(count: int) -> Iterator[Row]:
    chance = random.Random(7)  # noqa: S311 (the same pictures each time)
    for number in range(count):
        name = f"{chance.choice(KINDS)}, {chance.choice(COLOURS)}"
        price = f"{chance.randint(500, 30_000) / 100:.2f}"
        yield f"NL-{number:05d}", name, price, chance.choice(BRANDS), chance.randint(0, 40)


def _csv(rows: list[Row]) -> str:
    lines = (f'{sku},"{name}",{price},{brand},{stock}\n' for sku, name, price, brand, stock in rows)
    return "sku,name,price,brand,stock\n" + "".join(lines)


def _take_all(
    browser: Browser, base: str, scheme: Literal["light", "dark"], jobs: dict[str, int]
) -> None:
    context = browser.new_context(base_url=base, viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("#pi-main").wait_for()
    paths = {
        "review": f"/imports/{jobs['review']}/review/",
        "matching": f"/imports/{jobs['matching']}/mapping/",
    }
    for name, path in paths.items():
        _take(page, path, FOLDER / f"{name}-{scheme}.png")
    context.close()


def _take(page: Page, path: str, file: Path) -> None:
    page.goto(path, wait_until="networkidle")
    page.screenshot(path=file, animations="disabled")


if __name__ == "__main__":
    main()
