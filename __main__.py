"""The Pulumi program: settings → promotion gate → server → one `ChatDatabase` per product → outputs.

Runs unmodified on the Pulumi CLI and on the embedded engine.
"""

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from infra import gate, products, settings
from infra.cancellation import leave_quietly_when_cancelled
from infra.database import Arguments, ChatDatabase
from infra.errors import ChatdbError, unforeseen
from infra.server import declare_server


async def main() -> None:
    """Declare the stack."""
    config = CONFIG.get()
    secret_keys = [key for key in config if is_config_secret(key)]
    stack = settings.load(config, stack=pulumi.get_stack(), secret_keys=secret_keys)
    overridden = await gate.overridden(stack)
    server = declare_server(stack)
    databases = {
        name: ChatDatabase(
            name,
            Arguments(
                product=products.load(name),
                server=server,
                settings=stack,
                promotion_override=overridden.get(name, ""),
            ),
        )
        for name in stack.products
    }
    pulumi.export("server", server.facts)
    pulumi.export("products", {name: database.summary for name, database in databases.items()})
    # Told only once every product has its new passwords, so that a rotation that failed is gone on with.
    summaries = pulumi.Output.all(*(database.summary for database in databases.values()))
    pulumi.export("rotation", summaries.apply(lambda _: stack.rotation))
    pulumi.export("release", {name: database.release for name, database in databases.items()})
    pulumi.export("audit", {name: database.audit for name, database in databases.items()})
    pulumi.export("connections", {name: database.connections for name, database in databases.items()})


async def in_words() -> None:
    """Run the program; RunError is shown as its text alone, without a traceback."""
    try:
        await main()
    except ChatdbError as error:
        raise pulumi.RunError(str(error)) from None
    except Exception as error:
        raise pulumi.RunError(str(unforeseen(error))) from error


leave_quietly_when_cancelled()
pulumi.run(in_words)
