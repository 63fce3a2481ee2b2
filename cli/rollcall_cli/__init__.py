"""`rollcall` and `kubectl rollcall`: what people want on their own machine, without a cluster where none is needed."""
