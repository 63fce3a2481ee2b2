"""What belongs together in a schedule: CEL rules that the API server checks."""

from typing import Final

ONE_TIME: Final = {
    "rule": "[has(self.cron), has(self.every), has(self.at), has(self.rrule)].filter(given, given).size() == 1",
    "message": "give exactly one of cron, every, at and rrule",
}
ZONE_OF_CRON: Final = {
    "rule": "!has(self.timeZone) || has(self.cron)",
    "message": "timeZone belongs to cron: every and at are moments, which no zone changes, and a rrule has its own",
}
WINDOW: Final = {
    "rule": "!has(self.startAt) || !has(self.endAt) || timestamp(self.startAt) <= timestamp(self.endAt)",
    "message": "endAt must not be before startAt",
}
TEMPLATE_TIMES: Final = {
    "rule": "!has(self.startAt) && !has(self.startBefore) && !has(self.cancellation) && !has(self.requestedBy)",
    "message": "startAt, startBefore, cancellation and requestedBy do not belong into an invocationTemplate:"
    " the schedule says when, and who",
}
NOBODY_SPECIAL: Final = {
    "rule": "(!self.username.startsWith('system:') || self.username.startsWith('system:serviceaccount:'))"
    " && (!has(self.groups) || self.groups.all(group, !group.startsWith('system:')))",
    "message": "a person or a ServiceAccount is wanted: no other name, and no group, that begins with system:",
}
