"""When something recurs: cron lines in a zone, a fixed grid, one moment, recurrence rules; and which slots are due.

A slot is a moment at which a run is planned, in UTC. Everything here is a function of its arguments: `now` is given.
"""
