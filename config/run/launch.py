"""Start a command that ends when its supervisor ends, even when that one is killed with SIGKILL.

Run as a script by the supervisor: launch.py <supervisor's pid> <command…>. It ends in a plain exec, so the command has
the pid that the supervisor knows; and it does its work where no thread exists, which `preexec_fn` could not promise.
Only Linux has this; elsewhere the command is started as it is.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(supervisor: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != supervisor:  # it died before the line above
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
