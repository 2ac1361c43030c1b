"""Running parts of a test in forked children."""

import os


def in_a_child(work):
    """Runs `work` in a forked child; whether it returned something true."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def as_user(uid, work):
    """As `in_a_child`, as another user if this one is root."""

    def change_and_work():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        return work()

    return in_a_child(change_and_work)


def read_only_for_others(path):
    """Makes a file readable by everybody, and writable by nobody but root."""
    os.chmod(path, 0o444)
    directory = os.path.dirname(path)
    while os.stat(directory).st_mode & 0o005 != 0o005:
        os.chmod(directory, 0o755)
        directory = os.path.dirname(directory)
