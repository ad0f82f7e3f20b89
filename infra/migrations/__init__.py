"""Versioned DDL: `filename`, `model`, `planner` decide; `directory`, `ledger`, `lock`, `catalogue` touch the world; `runner` acts."""
