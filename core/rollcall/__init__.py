"""The domain of Rollcall: resources, targeting, rendering and reconcile decisions, without any I/O."""
