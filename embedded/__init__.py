"""A PostgreSQL server and a Pulumi engine in the project itself, for machines that have neither."""
