"""The documentation and the one picture in it, which is drawn from the snapshots."""
