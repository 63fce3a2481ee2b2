"""The runner: what works inside a runner pod."""
