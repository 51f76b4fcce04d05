"""Make the secret key of this folder if there is none yet, so that `manage.py` works before the first `make run`."""

import os
import sys

from config.run.environment import load_environment, local_dir
from config.run.errors import StartError
from config.run.folder import SECRET_KEY, LocalFolder


def main() -> int:
    load_environment()
    if os.environ.get("SECRET_KEY"):
        return 0
    folder = LocalFolder(local_dir())
    try:
        folder.prepare()
        folder.secret(SECRET_KEY)
    except StartError as error:
        sys.stderr.write(f"switchboard: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
