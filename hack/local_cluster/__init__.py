"""A real Kubernetes on one Linux machine, with Docker (kind) or without (bare)."""
