"""Functions of torch.* and of tensors on fixed values: a line each with the result or the kind of error. Runs under any torch."""
import torch

x = torch.tensor([[3.0, -1.0, 2.5, 2.75], [0.5, 4.0, -2.0, 1.0], [2.0, 1.75, 0.25, -3.5]])
n = torch.tensor([[3.0, float("nan"), 2.5], [float("nan"), float("nan"), -2.0]])
k = torch.tensor([4, 1, 1, 7, 4, 0])
b = torch.tensor([True, False, True, True])
s = torch.tensor([-2.0, 0.0, 1.5, 3.0])

CALLS = """
torch.equal(x, x.clone()) | torch.equal(x, x + 1) | torch.equal(k, k.float()) | torch.allclose(x, x + 1e-9) | torch.allclose(n, n) | torch.allclose(n, n, equal_nan=True)
torch.unique(k) | torch.unique(k, return_inverse=True, return_counts=True) | k.unique(return_counts=True) | torch.unique(torch.tensor([[1, 2], [0, 5], [1, 2]]), dim=0, return_inverse=True)
torch.unique_consecutive(k, return_inverse=True, return_counts=True) | torch.unique(x, dim=1)
torch.bincount(k) | torch.bincount(k, minlength=10) | torch.bincount(k, torch.linspace(0, 1, 6)) | torch.histc(x, 5) | torch.histc(x, 4, -1, 3) | torch.histogram(x, 4)
torch.searchsorted(s, x) | torch.searchsorted(s, 1.5) | torch.searchsorted(s, 1.5, right=True) | torch.searchsorted(s, x, side="right", out_int32=True) | torch.bucketize(x, s) | torch.isin(k, torch.tensor([1, 7])) | torch.isin(k, torch.tensor([1, 7]), invert=True)
torch.kthvalue(x, 2) | x.kthvalue(1, 0, True) | torch.quantile(x, 0.4) | torch.quantile(x, torch.tensor([0.25, 0.5]), dim=1, keepdim=True) | torch.quantile(x, 0.3, dim=0, interpolation="nearest") | torch.nanquantile(n, 0.5, dim=1) | torch.quantile(n, 0.5, dim=1)
torch.cummax(x, 1) | torch.cummin(x, 0) | torch.cummax(n, 1).values | torch.logcumsumexp(x, 1) | torch.mode(torch.tensor([[1, 2, 2, 1], [5, 3, 3, 3]])) | torch.nanmean(n) | torch.nanmean(n, 1) | torch.nanmedian(n) | torch.nanmedian(n, 0)
torch.take(x, torch.tensor([[0, 5], [-1, 2]])) | torch.take_along_dim(x, torch.tensor([[1], [0], [3]]), 1) | torch.take_along_dim(x, torch.tensor([1, 7])) | x.masked_scatter(b, torch.arange(9.0)) | x.clone().masked_scatter_(x > 2, torch.arange(9.0))
torch.diff(x) | torch.diff(k, n=2) | torch.diff(x, dim=0, prepend=x[:1]) | torch.cross(x[:, :3], x[:, 1:], dim=1) | torch.linalg.cross(x[:, :3], x[:, 1:]) | torch.cdist(x, x[:2]) | torch.cdist(x, x[:2], p=1.0) | torch.cov(x) | torch.cov(x, correction=0) | torch.corrcoef(x) | torch.kron(x[:2, :2], x[1:2])
torch.outer(s, s) | torch.inner(x, x) | torch.vdot(s, s) | torch.addr(x[:3, :3], s[:3], s[1:]) | torch.matrix_power(x[:, :3], 3) | torch.vander(s) | torch.combinations(k[:4]) | torch.trapezoid(x) | torch.trapezoid(x, s) | torch.cumulative_trapezoid(x, dx=0.5)
torch.block_diag(x[:1], k[:2]) | torch.cartesian_prod(k[:2], k[2:4]) | torch.tensordot(x, x, dims=([0], [0])) | torch.broadcast_shapes((2, 1), (3,)) | torch.atleast_2d(s) | torch.meshgrid(s, s[:2], indexing="xy")[1]
torch.result_type(k, 1.5) | torch.result_type(x.half(), 2) | torch.promote_types(torch.int8, torch.uint8) | torch.can_cast(torch.float32, torch.int64) | torch.is_complex(x) | torch.numel(x) | torch.is_nonzero(torch.tensor(0))
torch.float_power(s, 2) | torch.heaviside(s, s + 1) | torch.ldexp(s, k[:4]) | torch.sinc(s) | torch.signbit(s) | torch.isposinf(1 / s) | torch.isneginf(-1 / s) | torch.logaddexp2(s, s) | torch.fill(s, 2.5) | torch.renorm(x, 2, 0, 1.0)
x.select_scatter(s, 0, 1) | x.slice_scatter(x[:1], 0, 2, 3) | x.diagonal_scatter(s[:3]) | x.put(torch.tensor([0, 11]), s[:2]) | torch.argwhere(x > 2) | torch.msort(x) | x.index_reduce(0, torch.tensor([0, 0]), x[1:], "amax")
torch.max(x, 1) | torch.min(x, 0, keepdim=True) | torch.sort(x, 1, True) | torch.topk(x, 2) | torch.median(x, 1) | torch.std_mean(x) | torch.var_mean(x, 1) | torch.aminmax(x) | torch.max(x, 1).indices
torch._foreach_add([s, x], 2) | torch._foreach_mul([s, x], [s, x]) | torch._foreach_norm([s, x]) | torch._foreach_sqrt([s.abs(), x.abs()])
torch.nn.functional.one_hot(k) | torch.bucketize(k, k) | x.unfold(1, 2, 1) | x.repeat_interleave(torch.tensor([1, 0, 2]), 0) | torch.triu_indices(3, 3) | x.flip(1) | torch.rot90(x) | x.std(0) | torch.einsum("ij,kj->ik", x, x) | torch.kthvalue(x, 9) | torch.bincount(-k) | torch.cross(s, s)
"""
for line in CALLS.strip().split("\n"):
    for call in line.split(" | "):
        try:
            result = eval(call)
        except Exception as error:
            result = "raised " + type(error).__name__
        print(call, "->", str(result).replace("\n", " "))
for count in (1, 2):
    a = x.clone().requires_grad_()
    value = torch.cdist(a, a[:2]).sum() + torch.quantile(a, 0.4) + torch.kthvalue(a, 2)[0].sum() + torch.cummax(a, 1)[0].square().sum() + torch.diff(a).square().sum()
    (value * count).backward()
    print("gradient", count, a.grad)
