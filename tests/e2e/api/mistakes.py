"""Every mistake of the table of errors that concerns what is served: AWS's code and sentence,
and nothing that Describe calls show has changed.

A row is operation, parameters, code (several with `|` where AWS is not known better), sentence
(None: any) and the anchors. `{name}` stands for `ground.name`.
"""

import re

from botocore import xform_name

import ground
from harness import case, client, differences, refused, same, snapshot
from mistakes_network import ROWS as NETWORK
from mistakes_hosts import ROWS as HOSTS
from mistakes_ids import rows as unknown_ids

_before = None


def fill(value, names):
    """Replaces `{name}`, in texts of any depth; a text that is only that becomes the thing."""
    if isinstance(value, str):
        whole = re.fullmatch(r"\{([a-z]\w*)\}", value)
        if whole:
            return names[whole[1]]
        return re.sub(r"\{([a-z]\w*)\}", lambda found: names[found[1]], value)
    if isinstance(value, dict):
        return {key: fill(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(one, names) for one in value]
    return value


def attempt(operation, parameters, code, message):
    """Makes the mistake, then compares what is there with what was there."""
    global _before
    world = ground.the()
    names = vars(world)
    if _before is None:
        _before = snapshot(world.ec2)
    careless = client("ec2", ground.ACCOUNT, validate=False)
    call = getattr(careless, xform_name(operation))
    parameters, message = fill(parameters, names), fill(message, names)
    try:
        if isinstance(message, str) and message.startswith("~"):
            message = re.compile(message[1:])
        refused(lambda: call(**parameters), code, message)
    finally:
        after = snapshot(world.ec2)
        before, _before = _before, after
    same(differences(before, after), "", "something changed")


def register(row):
    operation, parameters, code, message, why = row

    @case(f"mistake: {operation}, {why}")
    def _():
        attempt(operation, parameters, code, message)


for row in [*NETWORK, *HOSTS, *unknown_ids()]:
    register(row)
