"""Element-wise operators and reductions against real PyTorch: values, dtypes and refusals over every dtype and the numbers
that are easy to get wrong (NaN, infinities, signed zeros, extremes of integers)."""
import math
import unittest
import warnings

from both import LIBRARIES, main, torch

warnings.simplefilter("ignore")
INF, NAN = math.inf, math.nan
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.7, 1e-3, -20.25, 88.0, -100.0, 7.0, INF, -INF, NAN, 2.5]
SECOND = [1.0, 2.0, -3.0, 0.5, -0.5, 2.0, -1.5, INF, 4.0, 0.25, -2.0, NAN, -INF, 3.0, 1.0, -0.0]
INTS = [0, 1, -1, 7, -7, 5, -128, 127, 2, 100, -3, 64, 9, -9, 3, 33]
INTS2 = [1, 2, -3, 3, 2, -2, 5, 7, -1, 3, 4, -5, 2, 4, -3, 1]
BOOLS = [True, False] * 8
FLOAT_TYPES = ["float64", "float32", "float16", "bfloat16"]
INT_TYPES = ["int64", "int32", "int16", "int8", "uint8"]

UNARY = """abs neg exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh
 atanh erf erfc erfinv sigmoid logit sign sgn floor ceil round trunc frac relu isnan isinf isfinite logical_not bitwise_not nan_to_num
 positive lgamma digamma selu""".split()
FUNCTIONAL = """silu gelu softplus leaky_relu elu celu hardtanh relu6 hardsigmoid hardswish mish logsigmoid softsign tanhshrink""".split()
BINARY = """add sub rsub mul div true_divide floor_divide remainder fmod pow maximum minimum fmax fmin atan2 hypot logaddexp xlogy copysign eq
 ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift""".split()
LOOSE = {"float64": 1e-12, "float32": 4e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


def data(dtype, second=False):
    if dtype in FLOAT_TYPES:
        return SECOND if second else FLOATS
    if dtype == "bool":
        return BOOLS[1:] + BOOLS[:1] if second else BOOLS
    return [abs(x) for x in (INTS2 if second else INTS)] if dtype == "uint8" else INTS2 if second else INTS


def tensor(lib, dtype, second=False, shape=None):
    t = lib.tensor(data(dtype, second), dtype=getattr(lib, dtype))
    return t.reshape(shape) if shape else t


def name_of(dtype):
    return str(dtype).rsplit(".", 1)[-1]


def same(x, y, tolerance):
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(same(a, b, tolerance) for a, b in zip(x, y))
    if isinstance(x, float) and x != x:
        return y != y
    return x == y or (isinstance(x, float) and math.isfinite(x) and math.isfinite(y) and abs(x - y) <= tolerance * max(1.0, abs(y)))


def outcome(lib, make):
    try:
        r = make(lib)
    except Exception as e:  # the two must refuse alike
        return "refused", str(e)
    parts = list(r) if isinstance(r, tuple) else [r]
    return "done", [(name_of(t.dtype), tuple(t.shape), t.tolist()) for t in parts]


class Elementwise(unittest.TestCase):
    def check(self, label, make, loose=None, words=False):
        (ours, a), (theirs, b) = (outcome(lib, make) for lib in LIBRARIES)
        with self.subTest(label):
            self.assertEqual(ours, theirs, "%s: %s | %s" % (label, a, b))
            if ours == "refused":
                if words:
                    self.assertIn(b.split(".")[0][:60], a)
                return
            for x, y in zip(a, b):
                self.assertEqual(x[:2], y[:2], label)
                tolerance = LOOSE.get(x[0], 0) if loose is None else loose
                self.assertTrue(same(x[2], y[2], tolerance), "%s %s:\n%s\n%s" % (label, x[0], x[2], y[2]))

    def test_unary_every_dtype(self):
        for name in UNARY:
            for dtype in FLOAT_TYPES + INT_TYPES + ["bool"]:
                if dtype in ("float16", "bfloat16") and name in ("erfinv", "lgamma", "digamma", "logit"):
                    continue  # near the ends one rounding of the argument is many of the result
                self.check("%s %s" % (name, dtype), lambda lib: getattr(lib, name)(tensor(lib, dtype)))

    def test_activations_every_float(self):
        for name in FUNCTIONAL:
            for dtype in FLOAT_TYPES:
                if name == "gelu" and dtype in ("float32", "bfloat16"):
                    continue  # gelu(inf) is NaN in torch's vectorised loops and inf in the others
                self.check("%s %s" % (name, dtype), lambda lib: getattr(lib.nn.functional, name)(tensor(lib, dtype)))
        for dtype in FLOAT_TYPES:
            self.check("gelu tanh " + dtype, lambda lib: lib.nn.functional.gelu(tensor(lib, dtype), approximate="tanh"))

    def test_binary_every_dtype(self):
        for name in BINARY:
            for dtype in FLOAT_TYPES + INT_TYPES + ["bool"]:
                if dtype == "bool" and name in ("pow", "floor_divide", "remainder", "fmod", "bitwise_left_shift", "bitwise_right_shift"):
                    continue
                if name.startswith("bitwise_") and name.endswith("shift") and dtype in INT_TYPES:
                    self.check("%s %s" % (name, dtype), lambda lib: getattr(lib, name)(tensor(lib, dtype), 3))
                    continue
                self.check("%s %s" % (name, dtype), lambda lib: getattr(lib, name)(tensor(lib, dtype), tensor(lib, dtype, True)))

    def test_binary_promotion(self):
        pairs = [("float32", "int64"), ("int32", "float16"), ("float16", "bfloat16"), ("uint8", "int8"), ("int8", "int64"), ("bool", "int32"),
                 ("bool", "float32"), ("float64", "float32"), ("float16", "float32")]
        for name in "add mul div pow maximum eq lt floor_divide remainder where fmod atan2".split():
            for a, b in pairs:
                if name == "where":
                    self.check("where %s %s" % (a, b), lambda lib: lib.where(tensor(lib, "bool"), tensor(lib, a), tensor(lib, b, True)))
                elif b != "bool" and a != "bool" or name in ("add", "mul", "eq"):
                    self.check("%s %s %s" % (name, a, b), lambda lib: getattr(lib, name)(tensor(lib, a), tensor(lib, b, True)))

    def test_numbers_keep_the_dtype(self):
        for name in "add sub mul div pow eq gt floor_divide remainder fmod maximum".split():
            for dtype in ["float32", "float16", "int64", "int8", "uint8"]:
                for k in (2, 2.5, -3, True):
                    if name in ("sub", "maximum") and k is True or name == "maximum":
                        continue
                    self.check("%s %s %r" % (name, dtype, k), lambda lib: getattr(lib, name)(tensor(lib, dtype), k))
        for k in (2, 2.5):
            self.check("rpow %r" % k, lambda lib: k ** tensor(lib, "float32"))
            self.check("rsub %r" % k, lambda lib: k - tensor(lib, "int64"))
            self.check("rdiv %r" % k, lambda lib: k / tensor(lib, "float32"))
        zero = lambda lib, d: lib.tensor(2, dtype=getattr(lib, d))
        for a, b in (("float32", "float64"), ("int64", "float64"), ("int8", "int64"), ("float16", "float32"), ("bool", "int64")):
            self.check("0-dim %s %s" % (a, b), lambda lib: tensor(lib, a) + zero(lib, b))

    def test_rounding_modes(self):
        for mode in (None, "trunc", "floor"):
            for dtype in ("float32", "int32", "uint8"):
                self.check("div %s %s" % (mode, dtype), lambda lib: lib.div(tensor(lib, dtype), tensor(lib, dtype, True), rounding_mode=mode))
        for decimals in (0, 1, 3, -1):
            self.check("round %d" % decimals, lambda lib: lib.round(tensor(lib, "float64") * 1.23456, decimals=decimals))

    def test_clamp_and_fill(self):
        for dtype in ("float32", "int64", "float16"):
            for lo, hi in ((-1, 2), (None, 1), (0.5, None), (2, -1), (-1.5, 2.5)):
                self.check("clamp %s %s %s" % (dtype, lo, hi), lambda lib: lib.clamp(tensor(lib, dtype), lo, hi))
        self.check("clamp tensors", lambda lib: lib.clamp(tensor(lib, "float32"), tensor(lib, "float32", True), lib.tensor(2.0)))
        self.check("clamp none", lambda lib: lib.clamp(tensor(lib, "float32")), words=True)
        self.check("masked_fill", lambda lib: tensor(lib, "int64").masked_fill(tensor(lib, "bool"), 3))
        self.check("masked_fill float", lambda lib: tensor(lib, "float16").masked_fill(tensor(lib, "bool"), -INF))
        self.check("nan_to_num", lambda lib: lib.nan_to_num(tensor(lib, "float32"), nan=1.0, posinf=2.0, neginf=-2.0))
        self.check("nan_to_num f16", lambda lib: lib.nan_to_num(tensor(lib, "float16")))
        self.check("threshold", lambda lib: lib.nn.functional.threshold(tensor(lib, "float32"), 0.1, 20))
        self.check("lerp", lambda lib: lib.lerp(tensor(lib, "float32"), tensor(lib, "float32", True), 0.3))
        self.check("addcmul", lambda lib: lib.addcmul(tensor(lib, "float32"), tensor(lib, "float32"), tensor(lib, "float32", True), value=0.5))
        self.check("addcdiv", lambda lib: lib.addcdiv(tensor(lib, "float32"), tensor(lib, "float32"), tensor(lib, "float32", True), value=0.5))
        self.check("isclose", lambda lib: lib.isclose(tensor(lib, "float32"), tensor(lib, "float32", True), equal_nan=True, atol=0.6))
        self.check("polygamma", lambda lib: lib.polygamma(2, lib.tensor([0.3, 1.0, 4.5, 30.0])))

    def test_refusals_in_torch_words(self):
        for label, make in {
            "sub bool": lambda lib: tensor(lib, "bool") - tensor(lib, "bool"),
            "neg bool": lambda lib: -tensor(lib, "bool"),
            "alpha": lambda lib: lib.add(tensor(lib, "int64"), tensor(lib, "int64"), alpha=0.5),
            "int pow": lambda lib: tensor(lib, "int64") ** -1,
            "zero": lambda lib: tensor(lib, "int64") // 0,
            "shape": lambda lib: lib.ones(2, 3) + lib.ones(4),
            "cast": lambda lib: tensor(lib, "int64").add_(1.5),
            "bool to int": lambda lib: tensor(lib, "bool").mul_(2),
            "mean int": lambda lib: tensor(lib, "int64").mean(),
            "amax empty": lambda lib: lib.ones(0).max(),
            "bitwise": lambda lib: lib.bitwise_and(tensor(lib, "float32"), tensor(lib, "float32")),
            "where": lambda lib: lib.where(tensor(lib, "float32"), tensor(lib, "float32"), tensor(lib, "float32")),
            "var int": lambda lib: tensor(lib, "int64").var(),
        }.items():
            self.check(label, make, words=True)

    def test_reductions_every_dtype(self):
        one = "sum prod mean amax amin max min argmax argmin any all var std logsumexp cumsum cumprod count_nonzero nansum median".split()
        for name in one:
            for dtype in ["float32", "float64", "float16", "int64", "int8", "uint8", "bool"]:
                if name == "median" and dtype in ("float16", "bool") or name in ("max", "min", "amax", "amin", "argmax", "argmin") and dtype == "bool":
                    continue
                for shape, dim in (((16,), 0), ((2, 8), 1), ((4, 4), 0), ((2, 2, 4), 1)):
                    def make(lib):
                        x = tensor(lib, dtype, shape=shape)
                        if dtype in FLOAT_TYPES:
                            x = lib.nan_to_num(x, 0.25, 3.0, -3.0) / 8
                        if dtype == "bool" and name in ("logsumexp",):
                            x = x.float()
                        return getattr(lib, name)(x, dim)
                    self.check("%s %s %s %s" % (name, dtype, shape, dim), make)
                if name not in ("cumsum", "cumprod", "logsumexp"):
                    self.check("%s %s all" % (name, dtype), lambda lib: getattr(lib, name)(tensor(lib, dtype, True)[:6]))

    def test_reductions_of_nan(self):
        for name in "sum prod mean amax amin max min argmax argmin any all var std logsumexp nansum median cumsum".split():
            self.check("%s nan" % name, lambda lib: getattr(lib, name)(tensor(lib, "float32", shape=(4, 4)), 1))
            self.check("%s nan cols" % name, lambda lib: getattr(lib, name)(tensor(lib, "float32", shape=(4, 4)), 0))

    def test_reductions_arguments(self):
        x = lambda lib: tensor(lib, "float32", shape=(2, 2, 4)).nan_to_num(0.5, 2.0, -2.0)
        cases = {
            "var unbiased": lambda lib: x(lib).var(1, False), "var kw": lambda lib: x(lib).var(dim=(0, 2), unbiased=False, keepdim=True),
            "var flag": lambda lib: x(lib).var(False), "std correction": lambda lib: x(lib).std(dim=1, correction=0),
            "var_mean": lambda lib: lib.var_mean(x(lib), 1), "std_mean": lambda lib: lib.std_mean(x(lib), dim=2, correction=0),
            "sum dims": lambda lib: x(lib).sum((0, 2), keepdim=True), "sum dtype": lambda lib: x(lib).sum(dtype=lib.float64),
            "mean list": lambda lib: x(lib).mean([0, 1]), "max other": lambda lib: lib.max(x(lib), x(lib) * -1),
            "max dim": lambda lib: tuple(x(lib).max(dim=-1, keepdim=True)), "min dim": lambda lib: tuple(lib.min(x(lib), 0)),
            "aminmax": lambda lib: tuple(lib.aminmax(x(lib), dim=1)), "argmax all": lambda lib: x(lib).argmax(),
            "argmax keep": lambda lib: x(lib).argmax(1, keepdim=True), "median dim": lambda lib: tuple(x(lib).median(2)),
            "norm": lambda lib: x(lib).norm(), "norm 1": lambda lib: x(lib).norm(1, dim=1), "norm inf": lambda lib: lib.norm(x(lib), INF, dim=(0, 1)),
            "vector_norm": lambda lib: lib.linalg.vector_norm(x(lib), 3, dim=1), "dist": lambda lib: lib.dist(x(lib), x(lib) + 1, 2),
            "trace": lambda lib: tensor(lib, "float32", shape=(4, 4)).nan_to_num().trace(), "logsumexp": lambda lib: x(lib).logsumexp((0, 1)),
            "prod": lambda lib: x(lib).prod(1, keepdim=True), "any": lambda lib: x(lib).any(), "all": lambda lib: x(lib).all(dim=0),
            "count": lambda lib: x(lib).count_nonzero(dim=(0, 1)), "cumsum dtype": lambda lib: x(lib).cumsum(1, dtype=lib.float64),
            "empty sum": lambda lib: lib.zeros(0, 3).sum(0), "empty mean": lambda lib: lib.zeros(0).mean(), "empty prod": lambda lib: lib.zeros(2, 0).prod(1),
            "empty all": lambda lib: lib.zeros(0).all(), "0-dim": lambda lib: lib.tensor(3.0).sum(0), "0-dim max": lambda lib: tuple(lib.tensor(3.0).max(0)),
        }
        for label, make in cases.items():
            self.check(label, make)

    def test_gradients_at_the_kinks(self):
        def grad(f, values):
            def make(lib):
                x = lib.tensor(values, requires_grad=True)
                y = f(lib, x)
                (y * lib.arange(1, y.numel() + 1).reshape(y.shape)).sum().backward()
                return x.grad
            return make
        ties, zeros = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], [[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]]
        for label, f, values in (
            ("amax", lambda lib, x: x.amax(1), ties), ("max", lambda lib, x: x.max(), ties), ("max dim", lambda lib, x: x.max(1)[0], ties),
            ("prod", lambda lib, x: x.prod(1), zeros), ("prod all", lambda lib, x: x.prod(), zeros[2:]), ("cumprod", lambda lib, x: x.cumprod(1), zeros),
            ("norm 0", lambda lib, x: x.norm(dim=1), [[0.0, 0.0], [3.0, 4.0]]), ("std 0", lambda lib, x: x.std(1), [[1.0, 1.0], [1.0, 3.0]]),
            ("maximum", lambda lib, x: lib.maximum(x, x * x), [1.0, 0.0, 2.0, 0.5]), ("clamp", lambda lib, x: x.clamp(0, 1), [0.0, 1.0, 0.5, 2.0, -1.0]),
            ("hardtanh", lambda lib, x: (lib.nn.functional if lib is torch else lib).hardtanh(x), [-1.0, 1.0, 0.0]), ("relu", lambda lib, x: x.relu(), [0.0, -1.0, 1.0]),
            ("abs", lambda lib, x: x.abs(), [0.0, -1.0]), ("pow 0", lambda lib, x: x ** 0, [0.0, 2.0]), ("sqrt 0", lambda lib, x: x.sqrt(), [0.0, 4.0]),
            ("xlogy", lambda lib, x: lib.xlogy(x, x), [0.0, 1.0, 2.0]), ("logsumexp", lambda lib, x: x.logsumexp(1), [[-INF, 1.0], [0.0, 1.0]]),
            ("round", lambda lib, x: x.round(), [0.5, 1.2]), ("inf norm", lambda lib, x: x.norm(INF), [3.0, -3.0, 1.0]),
            ("leaky", lambda lib, x: lib.nn.functional.leaky_relu(x), [0.0, -1.0]), ("softplus", lambda lib, x: lib.nn.functional.softplus(x), [30.0, 0.0]),
        ):
            self.check("gradient of " + label, grad(f, values))


if __name__ == "__main__":
    main()
