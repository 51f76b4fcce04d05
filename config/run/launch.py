"""Start a command that ends with its supervisor, even if the supervisor is killed with SIGKILL.

The supervisor runs it as a script: launch.py <supervisor's pid> <command…>. It execs the command, which so keeps the pid that
the supervisor knows. Unlike `preexec_fn`, it runs in a process without threads. On systems other than Linux the command is
started without this protection.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(supervisor: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != supervisor:  # the supervisor died before the previous line
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
