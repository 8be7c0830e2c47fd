"""``python -m benchmarks NAME [options]``: prints the figures as JSON; exits 1 on ``problems``."""

import argparse
import json
import sys

from benchmarks import (
    bench_all,
    bench_browse,
    bench_export,
    bench_faults,
    bench_feeds,
    bench_fields,
    bench_full_lists,
    bench_import,
    bench_memory,
    bench_rules,
    bench_scale,
    bench_soak,
    bench_stalled,
    bench_trust,
    bench_webhooks,
    bench_workbook,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    for name, module in (
        ("all", bench_all),
        ("import", bench_import),
        ("rules", bench_rules),
        ("full-lists", bench_full_lists),
        ("browse", bench_browse),
        ("export", bench_export),
        ("fields", bench_fields),
        ("trust", bench_trust),
        ("faults", bench_faults),
        ("feeds", bench_feeds),
        ("webhooks", bench_webhooks),
        ("scale", bench_scale),
        ("memory", bench_memory),
        ("soak", bench_soak),
        ("stalled", bench_stalled),
        ("workbook", bench_workbook),
    ):
        sub = names.add_parser(name, help=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    options = parser.parse_args()
    result = options.run(options)
    print(json.dumps(result, indent=2))
    return 1 if result.get("problems") else 0


if __name__ == "__main__":
    sys.exit(main())
