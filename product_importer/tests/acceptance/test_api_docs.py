"""The page for those who write programs: its examples run as they stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.models import ChangeSet, Product
from conftest import Browserless, wait_for
from product_importer.environment import BASE_DIR

BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (BASE_DIR / "docs" / "api.md").read_text(), re.M | re.S
)
COMMANDS = {"python": [sys.executable, "-c"], "sh": ["sh", "-ec"]}


def examples(language: str) -> list[str]:
    found = [text for name, text in BLOCKS if name == language]
    assert found
    return found


@pytest.fixture
def run(api: Browserless, tmp_path: Path) -> Callable[[str, str], str]:
    """Run an example in an empty folder, and return what it printed."""

    def do(language: str, text: str) -> str:
        done = subprocess.run(
            [*COMMANDS[language], text],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "SITE": api.base,
                "TOKEN": str(api.session.headers["Authorization"]).removeprefix("Token "),
                "NO_PROXY": "*",
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return do


def test_a_program_imports_a_file_and_reads_the_list(
    api: Browserless, run: Callable[[str, str], str], tmp_path: Path
) -> None:
    (tmp_path / "products.csv").write_text("sku,name,price\nA-1,Desk lamp,1.50\nB-1,x,1;5\n")
    reads, imports, *_ = examples("python")
    told = run("python", imports)
    assert "{'created': 1, 'updated': 0, 'unchanged': 0, 'rejected': 1}" in told
    assert "\n3 price “1;5” is not a price." in told
    assert (
        (tmp_path / "rejects.csv")
        .read_text("utf-8-sig")
        .startswith("sku,name,price,_line,_error\nB-1")
    )
    assert run("python", reads) == "A-1 1.50\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_examples_with_curl_work(api: Browserless, run: Callable[[str, str], str]) -> None:
    listed, uploaded, updated = (json.loads(run("sh", text)) for text in examples("sh"))
    assert listed["count"] == 0
    path = f"/api/v1/imports/{uploaded['id']}/"
    wait_for(lambda: api.get(path).json()["status"] == "completed")
    assert Product.objects.get().sku == "LAMP-1"
    assert updated["kind"] == "bulk_edit"
    wait_for(lambda: ChangeSet.objects.get(pk=updated["id"]).is_final)


def test_the_example_of_an_error_is_what_is_answered(api: Browserless) -> None:
    product = {"sku": "A-1", "name": "Lamp", "price": "12,50"}
    answer = api.post("/api/v1/products/", json=product)
    assert (answer.status_code, [answer.json()]) == (400, [json.loads(t) for t in examples("json")])
