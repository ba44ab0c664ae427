"""A lock that belongs to an open file and ends with its process, however that ends."""


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file for this process.

    Returns:
        True: it is locked. False: another process has the lock. None: nothing can be locked here, as on a
        network file system without locks, or on Windows.
    """
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
