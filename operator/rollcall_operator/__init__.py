"""The operator: watches the resources and carries out what `rollcall.plan` decides."""
