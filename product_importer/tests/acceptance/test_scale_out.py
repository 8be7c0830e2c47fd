"""More machines: workers that share nothing but PostgreSQL, the broker and the bucket."""

from product_importer.local.processes import wait_until
from product_importer.tests.hosting import WAIT_SECONDS, Hosting, assert_whole, products_csv

ROWS = 20_000


def test_two_worker_machines_share_an_import_and_one_of_them_is_lost(hosting: Hosting) -> None:
    """Web, beat and both workers each have a disk of their own; one worker gets kill -9."""
    hosting.begin_web()
    hosting.begin("beat")
    machines = ["machine-1", "machine-2"]
    for machine in machines:
        hosting.begin_worker(machine, IMPORT_CHUNK_ROWS="500", WORKER_CONCURRENCY="2")
    # Four chunks cannot end: each of the four processes comes to stand in the middle of one.
    with hosting.chunks_held(["S-002100", "S-004300", "S-006600", "S-008800"]):
        job_id = hosting.upload(products_csv(ROWS))
        wait_until(
            lambda: hosting.held() == 4, seconds=WAIT_SECONDS, what="both machines hold chunks"
        )
        assert at_work(hosting) == set(machines)
        [chunks] = hosting.query("SELECT count(*), count(done_at) AS done FROM imports_importchunk")
        assert 0 < chunks["done"] < chunks["count"] - 4
        hosting.kill("machine-1")
    assert_whole(hosting, job_id, ROWS)
    # The file went from web's disk to the workers by the bucket alone.
    for machine in machines:
        assert not list((hosting.folder / machine).rglob("*.csv"))


def at_work(hosting: Hosting) -> set[str]:
    """The machines whose tasks apply chunks just now."""
    rows = hosting.query(
        "SELECT DISTINCT worker FROM django_celery_results_taskresult"
        " WHERE task_name = 'imports.run_chunks' AND status = 'STARTED'"
    )
    return {row["worker"].split("@")[0] for row in rows}
