"""Prepare the environment for `manage.py` (`make token`, `make manage`): create a missing secret key and check the database.

A problem is printed as one line, as by `make run`.
"""

import os
import sys

from config.run.checks import check_settings
from config.run.environment import load_environment, local_dir
from config.run.errors import StartError
from config.run.folder import SECRET_KEY, LocalFolder


def main() -> int:
    try:
        load_environment()
        if not os.environ.get("SECRET_KEY"):
            folder = LocalFolder(local_dir())
            folder.prepare()
            folder.secret(SECRET_KEY)
        check_settings()
    except StartError as error:
        sys.stderr.write(f"switchboard: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    sys.exit(main())
