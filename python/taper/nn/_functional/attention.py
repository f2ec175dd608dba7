"""Attention: the operator, and the function behind nn.MultiheadAttention."""
import math

from ... import _C
from .activation import dropout, softmax

_ops = _C.ops
_linear = _ops.linear


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    return _ops.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)


def _in_projection_packed(q, k, v, w, b=None):
    E = q.size(-1)
    if k is v:
        if q is k:
            return _linear(q, w, b).chunk(3, -1)
        w_q, w_kv = w.split([E, E * 2])
        b_q, b_kv = (None, None) if b is None else b.split([E, E * 2])
        return (_linear(q, w_q, b_q), *_linear(k, w_kv, b_kv).chunk(2, -1))
    w_q, w_k, w_v = w.chunk(3)
    b_q, b_k, b_v = (None, None, None) if b is None else b.chunk(3)
    return _linear(q, w_q, b_q), _linear(k, w_k, b_k), _linear(v, w_v, b_v)


def _canonical_mask(mask, mask_name, other_type, other_name, target_type, check_other=True):
    """Boolean masks become 0 and -inf of target_type; floating masks stay."""
    if mask is None:
        return None
    is_float = mask.is_floating_point()
    if mask.dtype != _C.bool and not is_float:
        raise AssertionError("only bool and floating types of %s are supported" % mask_name)
    if check_other and other_type is not None and mask.dtype != other_type:
        import warnings

        warnings.warn("Support for mismatched %s and %s is deprecated. Use same type for both instead." % (mask_name, other_name))
    if not is_float:
        mask = _ops.zeros_like(mask, dtype=target_type).masked_fill_(mask, float("-inf"))
    return mask


def _none_or_dtype(x):
    return None if x is None else x.dtype


def _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads):
    if query.dim() == 3:
        if key.dim() != 3 or value.dim() != 3:
            raise AssertionError("For batched (3-D) `query`, expected `key` and `value` to be 3-D but found %d-D and %d-D tensors "
                                 "respectively" % (key.dim(), value.dim()))
        if key_padding_mask is not None and key_padding_mask.dim() != 2:
            raise AssertionError("For batched (3-D) `query`, expected `key_padding_mask` to be `None` or 2-D but found %d-D tensor instead"
                                 % key_padding_mask.dim())
        return True
    if query.dim() == 2:
        if key.dim() != 2 or value.dim() != 2:
            raise AssertionError("For unbatched (2-D) `query`, expected `key` and `value` to be 2-D but found %d-D and %d-D tensors "
                                 "respectively" % (key.dim(), value.dim()))
        return False
    raise AssertionError("query should be unbatched 2D or batched 3D tensor but received %d-D query tensor" % query.dim())


def multi_head_attention_forward(query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
                                 add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
                                 need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
                                 k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True,
                                 is_causal=False):
    """query (L, N, E), key and value (S, N, E); gives (L, N, E) and the weights (N, L, S), or (N, H, L, S) when not averaged."""
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    L, N, E = query.shape
    S = key.shape[0]
    key_padding_mask = _canonical_mask(key_padding_mask, "key_padding_mask", _none_or_dtype(attn_mask), "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None  # the operator makes its own causal mask
    else:
        attn_mask = _canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, False)
        if key_padding_mask is not None:
            is_causal = False
    if E != embed_dim_to_check:
        raise AssertionError("was expecting embedding dimension of %s, but got %s" % (embed_dim_to_check, E))
    head_dim = E // num_heads
    if head_dim * num_heads != E:
        raise AssertionError("embed_dim %s not divisible by num_heads %s" % (E, num_heads))
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError("key's sequence and batch dims %s do not match value's %s" % (key.shape[:2], value.shape[:2]))
        b_q, b_k, b_v = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = _linear(query, q_proj_weight, b_q), _linear(key, k_proj_weight, b_k), _linear(value, v_proj_weight, b_v)
    else:
        if key.shape != value.shape:
            raise AssertionError("key shape %s does not match value shape %s" % (key.shape, value.shape))
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)
    if attn_mask is not None:
        if attn_mask.dim() == 2:
            if attn_mask.shape != (L, S):
                raise RuntimeError("The shape of the 2D attn_mask is %s, but should be %s." % (attn_mask.shape, (L, S)))
            attn_mask = attn_mask.unsqueeze(0)
        elif attn_mask.dim() == 3:
            if attn_mask.shape != (N * num_heads, L, S):
                raise RuntimeError("The shape of the 3D attn_mask is %s, but should be %s." % (attn_mask.shape, (N * num_heads, L, S)))
        else:
            raise RuntimeError("attn_mask's dimension %d is not supported" % attn_mask.dim())
    if bias_k is not None and bias_v is not None:
        k, v = _ops.cat([k, bias_k.repeat(1, N, 1)]), _ops.cat([v, bias_v.repeat(1, N, 1)])
        attn_mask = _grow(attn_mask)
        key_padding_mask = _grow(key_padding_mask)
    q = q.reshape(L, N * num_heads, head_dim).transpose(0, 1)
    k = k.reshape(k.shape[0], N * num_heads, head_dim).transpose(0, 1) if static_k is None else static_k
    v = v.reshape(v.shape[0], N * num_heads, head_dim).transpose(0, 1) if static_v is None else static_v
    if add_zero_attn:
        zeros = _ops.zeros((N * num_heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k, v = _ops.cat([k, zeros], 1), _ops.cat([v, zeros], 1)
        attn_mask = _grow(attn_mask)
        key_padding_mask = _grow(key_padding_mask)
    S = k.size(1)
    if key_padding_mask is not None:
        if key_padding_mask.shape != (N, S):
            raise AssertionError("expecting key_padding_mask shape of %s, but got %s" % ((N, S), key_padding_mask.shape))
        padding = key_padding_mask.view(N, 1, 1, S).expand(-1, num_heads, -1, -1).reshape(N * num_heads, 1, S)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    if not training:
        dropout_p = 0.0
    if need_weights:
        scaled = q * math.sqrt(1.0 / float(head_dim))
        weights = _ops.bmm(scaled, k.transpose(-2, -1))
        if attn_mask is not None:
            weights = weights + attn_mask
        weights = softmax(weights, -1)
        if dropout_p > 0.0:
            weights = dropout(weights, dropout_p)
        out = _ops.bmm(weights, v).transpose(0, 1).contiguous().view(L * N, E)
        out = _linear(out, out_proj_weight, out_proj_bias).view(L, N, E)
        weights = weights.view(N, num_heads, L, S)
        if average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            out, weights = out.squeeze(1), weights.squeeze(0)
        return out, weights
    if attn_mask is not None:
        if attn_mask.size(0) == 1 and attn_mask.dim() == 3:
            attn_mask = attn_mask.unsqueeze(0)
        else:
            attn_mask = attn_mask.view(N, num_heads, -1, S)
    q, k, v = q.view(N, num_heads, L, head_dim), k.view(N, num_heads, S, head_dim), v.view(N, num_heads, S, head_dim)
    out = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
    out = out.permute(2, 0, 1, 3).contiguous().view(L * N, E)
    out = _linear(out, out_proj_weight, out_proj_bias).view(L, N, E)
    return (out if batched else out.squeeze(1)), None


def _grow(mask):
    """One more key at the end that nothing hides."""
    if mask is None:
        return None
    return _ops.cat([mask, _ops.zeros(tuple(mask.shape[:-1]) + (1,), dtype=mask.dtype, device=mask.device)], -1)
