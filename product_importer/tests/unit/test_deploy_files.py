"""The files that platforms read: one product in all of them, and nothing that it does not know.

The platforms themselves cannot be run here; docs/deploy.md says what was tried.
"""

import json
import re
import shlex
from typing import Any

import pytest
import yaml

from product_importer.environment import BASE_DIR
from product_importer.tests.hosting import GRACE_SECONDS, PROCFILE

SETTINGS = set(
    re.findall(r"^\| `(\w+)`", (BASE_DIR / "docs" / "settings.md").read_text(), re.MULTILINE)
)
# Read by boto3 and told of in a row of docs/settings.md that begins with another name.
SETTINGS |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
NEEDED = {"SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL"}
BUCKET = {"UPLOADS_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}

Service = dict[str, Any]


def read_yaml(name: str) -> Any:
    return yaml.safe_load((BASE_DIR / name).read_text())


def test_the_procfile_has_what_a_product_consists_of() -> None:
    assert list(PROCFILE) == ["release", "web", "worker", "beat"]


# --- Heroku ---------------------------------------------------------------------------


def test_heroku_gets_every_process_and_setting() -> None:
    app = json.loads((BASE_DIR / "app.json").read_text())
    assert set(app["formation"]) == PROCFILE.keys() - {"release"}
    assert app["formation"]["beat"]["quantity"] == 1
    from_add_ons = {"DATABASE_URL", "REDIS_URL"}
    assert app["env"].keys() | from_add_ons >= NEEDED | BUCKET
    assert app["env"].keys() <= SETTINGS
    # What is asked for has a description; the rest has a value.
    assert all(
        "value" in one or "generator" in one or one["description"] for one in app["env"].values()
    )
    # The smallest database takes 20 connections: web, and as many again for everything else.
    web = int(app["env"]["WEB_CONCURRENCY"]["value"])
    assert web * int(app["env"]["DATABASE_POOL_SIZE"]["value"]) <= 10


# --- Render ---------------------------------------------------------------------------

# https://render.com/docs/blueprint-spec, as far as we use it.
SERVICE_FIELDS = {
    "keyvalue": {"type", "name", "plan", "maxmemoryPolicy", "ipAllowList"},
    "web": {
        *("type", "name", "runtime", "plan", "buildCommand", "preDeployCommand", "startCommand"),
        *("healthCheckPath", "maxShutdownDelaySeconds", "envVars"),
    },
    "worker": {
        *("type", "name", "runtime", "plan", "buildCommand", "startCommand", "numInstances"),
        *("maxShutdownDelaySeconds", "envVars"),
    },
}


@pytest.fixture(scope="module")
def blueprint() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml("render.yaml")
    return found


def programs(blueprint: dict[str, Any]) -> dict[str, Service]:
    """The services that run our code, by their names."""
    return {one["name"]: one for one in blueprint["services"] if one["type"] != "keyvalue"}


def test_render_gets_only_fields_that_it_knows(blueprint: dict[str, Any]) -> None:
    assert blueprint.keys() == {"databases", "services"}
    for database in blueprint["databases"]:
        assert database.keys() <= {"name", "plan", "ipAllowList", "postgresMajorVersion"}
    for service in blueprint["services"]:
        assert service.keys() <= SERVICE_FIELDS[service["type"]]
    names = [one["name"] for one in blueprint["services"] + blueprint["databases"]]
    assert len(names) == len(set(names))
    [broker] = [one for one in blueprint["services"] if one["type"] == "keyvalue"]
    assert broker["maxmemoryPolicy"] == "noeviction"


def test_render_starts_what_the_procfile_starts(blueprint: dict[str, Any]) -> None:
    started = {one["startCommand"] for one in programs(blueprint).values()}
    assert started == {PROCFILE[kind] for kind in ("web", "worker", "beat")}
    [web] = [one for one in programs(blueprint).values() if one["type"] == "web"]
    assert web["preDeployCommand"] == PROCFILE["release"]
    assert "collectstatic" in web["buildCommand"]
    for service in programs(blueprint).values():
        assert service["runtime"] == "python"
        assert "--require-hashes -r requirements.txt" in service["buildCommand"]
        assert service.get("maxShutdownDelaySeconds", 30) >= GRACE_SECONDS


def test_render_gives_every_process_its_settings(blueprint: dict[str, Any]) -> None:
    databases = {one["name"] for one in blueprint["databases"]}
    services = {one["name"]: one for one in blueprint["services"]}
    for service in programs(blueprint).values():
        given = {one["key"]: one for one in service["envVars"]}
        assert NEEDED | BUCKET <= given.keys() <= SETTINGS
        for one in given.values():
            [source] = one.keys() - {"key"}
            if source == "fromDatabase":
                assert one[source]["name"] in databases
                assert one[source]["property"] == "connectionString"
            elif source == "fromService":
                other = services[one[source]["name"]]
                assert other["type"] == one[source]["type"]
                if key := one[source].get("envVarKey"):
                    assert key in {each["key"] for each in other["envVars"]}
            else:
                assert source in {"sync", "value", "generateValue"}
        # No secret is written down here.
        for key in ("SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            assert "value" not in given[key]
        # One key for all of them, made once.
        assert ("generateValue" in given["SECRET_KEY"]) == (service["type"] == "web")


# --- Docker ---------------------------------------------------------------------------


def test_compose_starts_what_the_procfile_starts() -> None:
    services = read_yaml("compose.yaml")["services"]
    for kind in ("release", "worker", "beat"):
        assert services[kind]["command"] == shlex.split(PROCFILE[kind])
    assert "command" not in services["web"]  # the image's own
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    [command] = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert json.loads(command) == shlex.split(PROCFILE["web"])
    for kind in ("web", "worker", "beat"):
        assert services[kind]["stop_grace_period"] == f"{GRACE_SECONDS}s"
        assert services[kind]["depends_on"]["release"]["condition"] == (
            "service_completed_successfully"
        )


def test_compose_gives_every_process_its_settings() -> None:
    services = read_yaml("compose.yaml")["services"]
    example = (BASE_DIR / "env.example").read_text()
    from_file = set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    for kind in ("release", "web", "worker", "beat"):
        given = services[kind]["environment"]
        assert given.keys() | from_file >= NEEDED
        assert given.keys() <= SETTINGS
        assert services[kind]["env_file"] == ".env"
        # PORT in .env is the host's; inside it is what the ports map to.
        assert f":{given['PORT']}" in services["web"]["ports"][0]
    assert from_file <= SETTINGS | {"POSTGRES_PASSWORD"}
    # What has to be filled in is blank, so that nobody runs on an example.
    for secret in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        assert re.search(rf"^{secret}=$", example, re.MULTILINE)


def test_secrets_go_neither_into_the_image_nor_into_the_repository() -> None:
    for name in (".dockerignore", ".gitignore"):
        assert ".env" in (BASE_DIR / name).read_text().split()
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    assert "requirements-dev" not in dockerfile
    assert dockerfile.rindex("USER importer") > dockerfile.rindex("FROM ")
