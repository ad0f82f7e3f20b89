"""`chatdb lint`: squawk and our own rules over the migrations. A finding is an error: exit status 1."""

from __future__ import annotations

import argparse
import json

from infra import products
from infra.migrations import directory, linting, rules
from infra.words import counted


def lint(options: argparse.Namespace) -> int:
    """Lint one product's migrations, or all; 1 where there is a finding."""
    names = [products.load(options.product).name] if options.product else products.names()
    found: list[tuple[str, rules.Finding]] = []
    count = 0
    for name in names:
        migrations = directory.read(products.load(name).migrations_folder)
        count += len(migrations)
        found.extend((name, finding) for finding in linting.check(migrations))
    if options.json:
        print(json.dumps([{"product": name, **finding.as_dict()} for name, finding in found], ensure_ascii=False))
        return 1 if found else 0
    for name, finding in found:
        print(f"schema/{name}/migrations/{finding.file}:{finding.line}: {finding.rule}: {finding.what}")
        print(f"  HINT: {finding.hint}")
    print(f"{counted(count, 'migration')}, {counted(len(found), 'finding')}")
    return 1 if found else 0
