"""`chatdb snapshot`: make the catalogue snapshot of every version anew, or compare. Exit status 2 where one differs."""

from __future__ import annotations

import argparse
import json

from cli import scratch
from infra import products
from infra.connection import connect, explained
from infra.migrations import snapshot as snapshots
from infra.migrations.catalogue import Catalogue
from infra.products import Product


def snapshot(options: argparse.Namespace) -> int:
    """Make or compare the snapshots of one product, or of all."""
    chosen = [products.load(name) for name in ([options.product] if options.product else products.names())]
    changed: dict[str, list[str]] = {}
    count = 0
    with scratch.server() as server:
        for product in chosen:
            target = scratch.database(server, product, "snapshots")
            hint = "Mend the migration: it fails in an empty database too."
            with explained(f"the migrations of {product.name} fail", target, hint=hint), connect(target) as connection:
                made = snapshots.generate(connection, product)
            count += len(made)
            changed[product.name] = stale(product, made) if options.check else snapshots.write(product, made)
    differ = any(changed.values())
    if options.json:
        print(json.dumps({"checked" if options.check else "written": changed}))
    else:
        verb = "differs from what the migrations make" if options.check else "written"
        for name, files in changed.items():
            for file in files:
                print(f"schema/{name}/snapshots/{file}: {verb}")
        if not differ:
            print(f"{count} snapshots are what the migrations make")
        elif options.check:
            print("Write them with `chatdb snapshot`, look at the difference, and commit them beside their migration.")
    return 2 if differ and options.check else 0


def stale(product: Product, made: dict[int, Catalogue]) -> list[str]:
    """Return the names of the snapshot files that are missing, too many, or not what the migrations make."""
    found = []
    for version in sorted({*snapshots.versions(product), *made}):
        file = product.snapshots_folder / f"{version:04d}.json"
        wanted = snapshots.text(made[version]) if version in made else None
        if wanted is None or not file.exists() or file.read_text(encoding="utf-8") != wanted:
            found.append(file.name)
    return found
