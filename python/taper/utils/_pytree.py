"""Nested lists, tuples and dictionaries as flat lists of leaves."""
from collections import OrderedDict


def _children(x):
    if isinstance(x, (dict, OrderedDict)):
        return list(x.values()), lambda v: type(x)(zip(x.keys(), v))
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return list(x), lambda v: type(x)(*v)
    if isinstance(x, (list, tuple)):
        return list(x), type(x)
    return None, None


def tree_map(fn, tree, *rest, is_leaf=None):
    children, make = _children(tree)
    if children is None or (is_leaf is not None and is_leaf(tree)):
        return fn(tree, *rest)
    others = [_children(r)[0] for r in rest]
    return make([tree_map(fn, c, *(o[i] for o in others), is_leaf=is_leaf) for i, c in enumerate(children)])


def tree_map_only(kind, fn, tree, is_leaf=None):
    return tree_map(lambda x: fn(x) if isinstance(x, kind) else x, tree, is_leaf=is_leaf)


def tree_leaves(tree, is_leaf=None):
    out = []
    tree_map(out.append, tree, is_leaf=is_leaf)
    return out


def tree_flatten(tree, is_leaf=None):
    return tree_leaves(tree, is_leaf), tree_map(lambda x: None, tree, is_leaf=is_leaf)


def tree_unflatten(leaves, spec):
    it = iter(leaves)
    return tree_map(lambda x: next(it), spec, is_leaf=lambda x: x is None)


def tree_any(pred, tree):
    return any(map(pred, tree_leaves(tree)))


def tree_all(pred, tree):
    return all(map(pred, tree_leaves(tree)))
