"""Summaries as protocol buffers, built by hand: a field is (number << 3 | wire type) and its value."""
import struct

__all__ = ["varint", "field", "hparams"]


def varint(n):
    out = bytearray()
    n &= (1 << 64) - 1
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    """int: varint; float: double; bytes and str: length-delimited."""
    if isinstance(value, bool) or isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    value = value.encode("utf-8") if isinstance(value, str) else bytes(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def value(tag, body, plugin=None, content=b""):
    """Summary holding one Value: its tag, its body, and the plugin that shows it."""
    v = field(1, tag) + body
    if plugin is not None:
        v += field(9, field(1, field(1, plugin) + (field(2, content) if content else b"")))
    return field(1, v)


def tensor_text(tag, text):
    """A string tensor for the text plugin: dtype DT_STRING (7), shape [1]."""
    tensor = field(1, 7) + field(2, field(2, field(1, 1))) + field(8, text)
    return value(tag, field(8, tensor), "text")


def scalars_layout(layout):
    """Custom scalars: {category: {chart: ("Multiline" or "Margin", tags)}}."""
    categories = b""
    for category, charts in layout.items():
        body = field(1, category)
        for title, (kind, tags) in charts.items():
            if kind == "Margin":
                content = field(3, field(1, field(1, tags[0]) + field(2, tags[1]) + field(3, tags[2])))
            else:
                content = field(2, b"".join(field(1, t) for t in tags))
            body += field(2, field(1, title) + content)
        categories += field(2, body)
    content = field(1, 7) + field(2, b"") + field(8, categories)
    return value("custom_scalars__config__", field(8, content), "custom_scalars")


def _struct_value(v):
    """google.protobuf.Value: 2 number, 3 string, 4 bool."""
    if isinstance(v, bool):
        return field(4, v)
    if isinstance(v, (int, float)):
        return field(2, float(v))
    return field(3, str(v))


def hparams(hparam_dict, metric_dict, domains=None):
    """Three summaries of the hparams plugin: experiment, session start, session end."""
    domains = domains or {}
    infos, start = b"", b""
    for name, v in hparam_dict.items():
        if v is None:
            continue
        start += field(1, field(1, name) + field(2, _struct_value(v)))
        kind = 2 if isinstance(v, bool) else (3 if isinstance(v, (int, float)) else 1)
        info = field(1, name) + field(4, kind)
        if name in domains:
            info += field(5, b"".join(field(1, _struct_value(d)) for d in domains[name]))
        infos += field(1, info)
    metrics = b"".join(field(2, field(1, field(2, name))) for name in metric_dict)
    experiment = field(2, infos + metrics)
    started = field(3, start)
    ended = field(4, field(1, 1))  # STATUS_SUCCESS

    def summary(tag, data):
        return field(1, field(1, tag) + field(9, field(1, field(1, "hparams") + field(2, data))))

    return (summary("_hparams_/experiment", experiment), summary("_hparams_/session_start_info", started),
            summary("_hparams_/session_end_info", ended))
