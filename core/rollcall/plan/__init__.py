"""Reconcile decisions: from what was observed and the time to what is done next. Pure functions, no I/O."""
