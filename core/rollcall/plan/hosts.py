"""What is wrong with a Host as it is written."""

import base64
import binascii

from rollcall.resources.host import Host, facts_problem, variables_problem


def examine_host(host: Host) -> str | None:
    """The sentence about the first thing that is wrong; None when jobs can be sent to it."""
    for number, line in enumerate(host.spec.host_keys, start=1):
        algorithm, _, rest = line.partition(" ")
        try:
            blob = base64.b64decode(rest.split(" ")[0], validate=True)
        except binascii.Error:
            return f"spec.hostKeys: key {number} is not base64; copy a line of ssh-keyscan without its first word"
        # RFC 4253 §6.6: the blob begins with the algorithm's name, as a string with a four-byte length.
        length = int.from_bytes(blob[:4], "big")
        if blob[4 : 4 + length] != algorithm.encode() or not _is_whole(blob):
            return f"spec.hostKeys: key {number} says {algorithm}, but holds another kind of key, or is cut short"
    return facts_problem(host) or variables_problem(host)


def _is_whole(blob: bytes) -> bool:
    """Whether the blob is a sequence of strings with their lengths, up to its last byte, and holds more than a name."""
    fields, rest = 0, blob
    while rest:
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            return False
        fields, rest = fields + 1, rest[4 + length :]
    return fields > 1
