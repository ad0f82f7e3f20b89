"""The Pulumi program: settings → server → one `ChatDatabase` per product → outputs.

Runs unmodified on the Pulumi CLI and on the embedded engine.
"""

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from infra import products, settings
from infra.cancellation import leave_quietly_when_cancelled
from infra.database import Arguments, ChatDatabase
from infra.errors import ChatdbError, unforeseen
from infra.server import declare_server


def main() -> None:
    """Declare the stack."""
    config = CONFIG.get()
    secret_keys = [key for key in config if is_config_secret(key)]
    stack = settings.load(config, stack=pulumi.get_stack(), secret_keys=secret_keys)
    server = declare_server(stack)
    databases = {
        name: ChatDatabase(name, Arguments(product=products.load(name), server=server, settings=stack))
        for name in stack.products
    }
    pulumi.export("server", {"host": server.host, "port": server.port, "sslMode": server.ssl_mode})
    pulumi.export("products", {name: database.summary for name, database in databases.items()})
    pulumi.export("connections", {name: database.connections for name, database in databases.items()})


leave_quietly_when_cancelled()
try:
    main()
except ChatdbError as error:
    # RunError is shown as its text alone, without a traceback.
    raise pulumi.RunError(str(error)) from None
except Exception as error:
    raise pulumi.RunError(str(unforeseen(error))) from error
