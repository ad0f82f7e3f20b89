"""Versioned DDL: `filename`, `model`, `statements`, `planner` decide; the edges touch the world; `runner` acts."""
