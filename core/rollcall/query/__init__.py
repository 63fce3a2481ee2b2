"""Queries over hosts and jobs: several languages, one tree, one evaluator."""
