"""torch.hub: downloads of weights."""
import hashlib
import os
import re
import sys

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_hub_dir = None


def get_dir():
    if _hub_dir is not None:
        return _hub_dir
    home = os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")))
    return os.path.join(home, "hub")


def set_dir(d):
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Downloads beside dst and renames; hash_prefix: the start of its SHA-256."""
    from urllib.request import Request, urlopen

    dst = os.path.expanduser(dst)
    part = "%s.%d.partial" % (dst, os.getpid())
    digest, done = hashlib.sha256(), 0
    try:
        with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source, open(part, "wb") as out:
            total = int(source.headers.get("Content-Length") or 0)
            while True:
                data = source.read(128 * 1024)
                if not data:
                    break
                out.write(data)
                digest.update(data)
                done += len(data)
                if progress and sys.stderr.isatty():
                    sys.stderr.write("\r%d / %d kB" % (done >> 10, total >> 10))
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError('invalid hash value (expected "%s", got "%s")' % (hash_prefix, digest.hexdigest()))
        os.replace(part, dst)
    finally:
        if os.path.exists(part):
            os.unlink(part)


def load_state_dict_from_url(url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None, weights_only=True):
    from urllib.parse import urlparse

    from .serialization import load

    model_dir = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(model_dir, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(model_dir, name)
    if not os.path.exists(path):
        sys.stderr.write('Downloading: "%s" to %s\n' % (url, path))
        match = HASH_REGEX.search(name) if check_hash else None
        download_url_to_file(url, path, match.group(1) if match else None, progress)
    return load(path, map_location=map_location, weights_only=weights_only)


def load(*args, **kwargs):
    raise NotImplementedError("torch.hub.load runs code from the network; clone the repository and import it instead")
