"""The Pulumi program's parts: settings, server, access, databases and their migrations."""
