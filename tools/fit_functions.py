"""Fits the polynomials of crates/kernels/src/math.rs: minimax by iteratively reweighted least squares.

Usage: python tools/fit_functions.py        (numpy and mpmath; prints coefficients and errors)

The coefficients are rounded to f32 before the error is measured in exact arithmetic; the error of the
f32 evaluation is measured by the tests of the crate.
"""
import mpmath
import numpy as np

mpmath.mp.dps = 40


def fit(columns, target, weight, rounds=200):
    """Coefficients c that make max |weight·(columns·c − target)| small (Lawson's iteration)."""
    lawson = np.ones(len(target)) / len(target)
    best, best_error = None, np.inf
    for _ in range(rounds):
        scale = np.sqrt(lawson) * weight
        c, *_ = np.linalg.lstsq(columns * scale[:, None], target * scale, rcond=None)
        error = np.abs(weight * (columns @ c - target))
        if error.max() < best_error:
            best, best_error = c, error.max()
        lawson *= error + 1e-300
        lawson /= lawson.sum()
    return best, best_error


def show(name, coefficients, error):
    print(f"{name}: error {error:.2e}")
    for c in np.asarray(coefficients, np.float64):
        print(f"    {np.float32(c)!r},  # {c:.17g}")


def exact(function, points):
    return np.array([float(function(mpmath.mpf(float(x)))) for x in points])


def chebyshev(low, high, count=2001):
    return (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(count) + 0.5) / count)


def main():
    # exp(r) = 1 + r + r²·q(r), |r| <= ln 2 / 2, relative error
    r = chebyshev(-0.3475, 0.3475)
    r = r[np.abs(r) > 1e-3]
    q = exact(lambda x: (mpmath.exp(x) - 1 - x) / x**2, r)
    c, error = fit(np.stack([r**k for k in range(5)], 1), q, r**2 / np.exp(r))
    show("exp: c2 ... c6", c, error)
    # tanh(x) = x + x³·p(x²), |x| < 0.625, relative error
    x = chebyshev(1e-2, 0.625)
    p = exact(lambda v: (mpmath.tanh(v) - v) / v**3, x)
    c, error = fit(np.stack([x ** (2 * k) for k in range(5)], 1), p, x**3 / np.tanh(x))
    show("tanh: x³, x⁵ ...", c, error)
    # erf(x) = x·P(x²)/Q(x²), |x| <= 4, Q(0) = 1, relative error: linearised, reweighted with the last Q
    x = chebyshev(1e-3, 4.0, 4001)
    e = exact(lambda v: mpmath.erf(v) / v, x)
    t, n_p, n_q = x**2, 6, 5
    q = np.ones_like(x)
    for _ in range(30):
        columns = np.concatenate([np.stack([t**k for k in range(n_p + 1)], 1), -np.stack([e * t**k for k in range(1, n_q + 1)], 1)], 1)
        norm = np.abs(columns).max(0)
        c, error = fit(columns / norm, e, 1 / (q * e), rounds=60)
        c = c / norm
        q = 1 + sum(c[n_p + k] * t**k for k in range(1, n_q + 1))
    show("erf numerator", c[: n_p + 1], error)
    show("erf denominator from t", c[n_p + 1 :], error)


if __name__ == "__main__":
    main()
