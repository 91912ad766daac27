"""Multinomial logistic regression with several heads on one sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator


class MultiHeadLogisticRegression(BaseEstimator):  # type: ignore[misc]
    """One softmax a head, all heads fitted at once by L-BFGS with an L2 penalty.

    It minimises what ``sklearn.linear_model.LogisticRegression(C=C)`` minimises, summed over the heads; one
    product with the sparse matrix serves them all, which makes five heads cost as much as two separate fits.
    Rows whose target in a head is -1 say nothing to that head.
    """

    def __init__(self, C: float = 3.0, max_iter: int = 200) -> None:
        self.C = C
        self.max_iter = max_iter

    def fit(
        self, X: sp.csr_matrix, targets: NDArray[np.int64], sample_weight: NDArray[np.float32]
    ) -> MultiHeadLogisticRegression:
        """Fit on ``X`` (n, features), ``targets`` (n, heads; -1 where there is none) and row weights (n)."""
        X = X.astype(np.float32)
        classes = int(targets.max()) + 1
        n, heads = targets.shape
        shape = (X.shape[1] + 1, heads, classes)
        known = (targets >= 0).astype(np.float32) * sample_weight[:, None]
        onehot = (targets[:, :, None] == np.arange(classes)).astype(np.float32)
        transposed = X.T.tocsr()

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(shape)
            table = weights[:-1].reshape(shape[0] - 1, -1)
            logits = (X @ table.astype(np.float32)).reshape(n, heads, classes) + weights[-1].astype(np.float32)
            logits -= logits.max(axis=2, keepdims=True)
            exps = np.exp(logits)
            total = exps.sum(axis=2, keepdims=True)
            likelihood = ((onehot * logits).sum(axis=2) - np.log(total[:, :, 0])) * known
            error = (exps / total - onehot) * known[:, :, None]
            gradient = np.empty(shape)
            gradient[:-1] = (transposed @ error.reshape(n, -1)).reshape(shape[0] - 1, heads, classes)
            gradient[:-1] += weights[:-1] / self.C
            gradient[-1] = error.sum(axis=0, dtype=np.float64)
            value = 0.5 / self.C * float((table**2).sum()) - float(likelihood.sum(dtype=np.float64))
            return value / n, (gradient / n).ravel()

        options: dict[str, Any] = {"maxiter": self.max_iter, "maxcor": 8, "gtol": 1e-7, "ftol": 1e-9}
        result = scipy.optimize.minimize(
            loss, np.zeros(int(np.prod(shape))), jac=True, method="L-BFGS-B", options=options
        )
        weights = result.x.reshape(shape).astype(np.float32)
        self.coef_ = weights[:-1].reshape(shape[0] - 1, -1)
        self.intercept_ = weights[-1].ravel()
        return self

    def decision_function(self, X: sp.csr_matrix) -> NDArray[np.float32]:
        """Logits (n, heads * classes), head after head."""
        return np.asarray(X @ self.coef_ + self.intercept_, dtype=np.float32)
