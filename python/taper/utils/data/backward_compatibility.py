"""Old name of a worker_init_fn that does nothing now."""


def worker_init_fn(worker_id):
    pass
