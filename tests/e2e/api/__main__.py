"""Cases against a running cloud, told by AWS_ENDPOINT_URL. Arguments choose cases by a part of
their name."""

import sys

import harness
import auth  # noqa: F401: registers its cases, as those below
import describe  # noqa: F401
import documents  # noqa: F401
import flow_logs  # noqa: F401
import images  # noqa: F401
import insights  # noqa: F401
import lab  # noqa: F401
import life  # noqa: F401
import logs  # noqa: F401
import mistakes  # noqa: F401
import parameters  # noqa: F401
import protocol  # noqa: F401
import records  # noqa: F401
import s3  # noqa: F401

sys.exit(harness.run(sys.argv[1:]))
