"""`python -m actorrl` is the command `actorrl`."""

from __future__ import annotations

import sys

from actorrl.cli.main import main

sys.exit(main())
