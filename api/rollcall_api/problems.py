"""What can go wrong between a request and the cluster, in words that every dialect can put into its own shape."""


class Problem(Exception):  # noqa: N818 - not every problem is an error of somebody
    """Something that the requester should be told; the message is for them and holds no secret."""


class NotFound(Problem):
    """The object does not exist."""


class Conflict(Problem):
    """Somebody else's write came first: the name is taken, or the object has changed since it was read."""


class Forbidden(Problem):
    """The user lacks the right to do this."""


class Rejected(Problem):
    """The API server refuses the object as it is written."""


class Expired(Problem):
    """The resource version is too old to continue from; list again."""


class BadSearch(Problem):
    """A search is not understood, or asks too much."""


class TooManyHosts(Problem):
    """More hosts are chosen than a job can have."""


class Unavailable(Problem):
    """The cluster does not answer; the same request may succeed later."""


class Away(Unavailable):
    """It is the API server itself that does not answer."""
