"""A call of a module with other tensors in place of its parameters and buffers."""


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    if not isinstance(parameters_and_buffers, dict):
        merged = {}
        for d in parameters_and_buffers:
            merged.update(d)
        parameters_and_buffers = merged
    args = () if args is None else (args if isinstance(args, tuple) else (args,))
    kept = []
    try:
        for path, value in parameters_and_buffers.items():
            head, _, name = path.rpartition(".")
            owner = module.get_submodule(head)
            table = owner._parameters if name in owner._parameters else owner._buffers
            if name not in table:
                if strict:
                    raise RuntimeError("Unexpected key(s): %s." % path)
                continue
            kept.append((table, name, table[name]))
            table[name] = value
        return module(*args, **(kwargs or {}))
    finally:
        for table, name, value in reversed(kept):
            table[name] = value
