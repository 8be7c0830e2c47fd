"""What a scan by schemathesis knows of the rows that there are; its command line loads this.

``SCAN_ROWS`` is a JSON object. ``numbers`` maps folders of the API (``imports``) to the numbers of
rows, and what is done there (``imports/apply``, ``products/DELETE``) to those that it fits to;
nothing is done to those of ``change-sets/kept``.
``finished`` is an import that has ended, ``receiver`` an address for webhooks, ``supplier`` one
that is not deleted.
"""

import json
import os
from typing import Any
from uuid import uuid4

import schemathesis

ROWS = json.loads(os.environ["SCAN_ROWS"])
NUMBERS: dict[str, list[int]] = ROWS["numbers"]
NOBODYS = 10**15  # and above: of no row
ROWS_BELOW = 10**6


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Most numbers in an address become those of a row, or else all answers were 404.

    The scan hands on some that were here before, and those that answers told: rows have small ones.
    """
    number = (path_parameters or {}).get("id")
    if type(number) is not int or not 0 <= number < NOBODYS:
        return path_parameters
    rows = _rows_for(context.operation)
    if number in rows:
        return path_parameters
    if number % 5 == 4 and number > ROWS_BELOW:
        path_parameters["id"] = NOBODYS + number  # of no row, whatever numbers rows have by now
    elif rows:
        path_parameters["id"] = rows[number % len(rows)]
    return path_parameters


def _rows_for(operation: Any) -> list[int]:
    """The numbers of the rows that an operation is to be tried on."""
    _, _, _, folder, _, *act = operation.path.split("/")
    done = "/".join([folder, act[0] or operation.method.upper()])
    return NUMBERS.get(done) or NUMBERS.get(folder, [])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """No name is looked up, nobody is called, no rows are deleted in bulk, every stream ends."""
    path, body = case.operation.path, case.body
    if isinstance(body, dict):
        if isinstance(body.get("url"), str) and body["url"].strip():
            body["url"] = ROWS["receiver"]
        if path.endswith("/formats/") and "supplier" in body:
            body |= {"supplier": ROWS["supplier"], "rules": {}}  # made up, no rule would be right
        if "/feeds/" in path and {"supplier", "schedule", "url"} & body.keys():
            body |= {"name": uuid4().hex, "supplier": ROWS["supplier"], "format": None}
            body |= {"url": ROWS["receiver"], "schedule": "daily at 02:00", "time_zone": "UTC"}
            body |= {"headers": None, "private_key": None, "host_key": "", "pattern": ""}
        if "/export-formats/" in path and "columns" in body:
            body["columns"] = [{"name": "id", "field": "sku"}]  # no made up field would be there
        if "/products/" in path and isinstance(body.get("fields"), dict):
            body["fields"] = {}  # no made up key would be there
        if path.endswith("/fields/") and isinstance(body.get("label"), str):
            body |= {"label": f"Field {uuid4().hex}", "type": "text", "options": {}}
            body.pop("key", None)
        if path.endswith("/bulk-delete/"):
            _delete_nobodys(body)
    _keep_what_others_need(case)
    number = str((case.path_parameters or {}).get("id", ""))
    if path.endswith("/events/") and number.isdigit() and int(number) < NOBODYS:
        case.path_parameters["id"] = ROWS["finished"]


def _delete_nobodys(body: dict[str, Any]) -> None:
    """What is deleted in bulk goes after the answer: whether in time for others, nobody knows."""
    if "ids" not in body:
        filters = body.get("filters", {})
        if isinstance(filters, dict) and filters.get("sku") in (None, ""):
            body["filters"] = {**filters, "sku": "nobody's"}
    elif isinstance(body["ids"], list):
        known = _known("products")
        body["ids"] = [
            NOBODYS + row if type(row) is int and row in known else row for row in body["ids"]
        ]


def _known(folder: str) -> set[int]:
    return {row for key, rows in NUMBERS.items() if key.split("/")[0] == folder for row in rows}


def _keep_what_others_need(case: Any) -> None:
    """A 1 that the scan writes by itself may be a row, which another operation is to be tried on.

    What the scan has made has higher numbers, and is its own.
    """
    number: Any = (case.path_parameters or {}).get("id")
    if not str(number).isdigit() or int(number) >= NOBODYS or "{id}" not in case.operation.path:
        return
    known = _known(case.operation.path.split("/")[3])
    if known and int(number) <= max(known) and int(number) not in _rows_for(case.operation):
        case.path_parameters["id"] = NOBODYS + int(number)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """What the API tells, like a cursor, cannot be made up: that one is refused is right.

    Nor can a price, which is taken as people write it: 1.299,00 and 1 299.
    """
    told = {"cursor", "columns", "export_format", "currency", "price_min", "price_max"}
    made_up = told & {*(case.query or {})} and response.status_code == 400
    return not (made_up and type(failure).__name__ == "RejectedPositiveData")
