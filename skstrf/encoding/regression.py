"""Receptive fields from responses to natural sound."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning

from skstrf.encoding import lagged
from skstrf.encoding.lagged import Prior, Sums
from skstrf.encoding.neurons import normalized_correlation
from skstrf.encoding.trials import (
    Stimuli,
    check_folds,
    correlation,
    read_responses,
    read_stimuli,
)
from skstrf.utils.arrays import is_torch, resolve_device, to_numpy
from skstrf.utils.validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_context,
)

__all__ = ["STRFRegressor"]

# Penalties that are tried, as shares of the mean power of a column of the lagged matrix.
_RELATIVE_ALPHAS = np.logspace(-3.5, 1, 10)
_WIDTHS = ((2.0, 1.0), (2.0, 2.0), (4.0, 1.0), (4.0, 2.0))
# Coefficients above which the Gram matrix is not formed.
_LARGEST_GRAM = 6000


class STRFRegressor(RegressorMixin, BaseEstimator):
    """Estimate spectro-temporal receptive fields from stimuli and responses.

    The response of an output at a frame is the sum of the products of the receptive field with the
    frames of the spectrogram at the lags `lag_min` to ``lag_min + n_lags - 1``, plus a constant.
    Samples are trials, so that the estimator follows a transformer of sounds in a pipeline, and
    cross-validation leaves out whole trials.

    Parameters
    ----------
    n_lags : int, default=30
        Number of lags in frames. No lag may be as long as a trial.
    lag_min : int, default=0
        First lag in frames. Negative lags let responses depend on later frames of the stimulus.
    alpha : "cv", float or array-like of float, default="cv"
        Penalty of the coefficients. "cv" and arrays choose a penalty for each output by
        cross-validation; "cv" tries ten values relative to the power of the stimulus.
    prior : {"smooth", "ridge", "laplacian"}, default="smooth"
        Penalty of the coefficients. "ridge" is alpha times their sum of squares, "laplacian"
        alpha times the sum of squared differences between neighbors in lag and frequency.
        "smooth" is the ridge penalty of a field that is smoothed by a Gaussian.
    widths : "cv" or tuple of two float, default="cv"
        Standard deviations of the Gaussian of the smooth prior, in channels and in frames. 0
        means no smoothing. "cv" chooses among (2, 1), (2, 2), (4, 1) and (4, 2) for each output.
    fit_intercept : bool, default=True
        Whether stimuli and responses are centered. Frames outside a trial then have the mean of
        the stimulus, otherwise they are 0.
    solver : {"auto", "cholesky", "cg"}, default="auto"
        "cholesky" forms the Gram matrix of the lagged stimulus from sums over trials, which folds
        and penalties share. "cg" uses conjugate gradients and Fourier transforms, and holds no
        matrix of all coefficients. "auto" takes "cg" for more than 6000 coefficients.
    cv : int, cross-validation generator, iterable or None, default=None
        Folds of trials for `alpha` and `widths`. A number of folds keeps repeats of one stimulus
        in the same fold. None means five folds, or as many as there are different stimuli.
    scoring : {"correlation", "r2", "cc_norm"}, default="correlation"
        Measure of `score`: correlation of response and prediction, share of variance explained,
        or correlation relative to the largest one that the noise allows, from repeats of stimuli
        in the test data [3]_. Cross-validation uses the correlation for "cc_norm".
    n_jobs : int or None, default=None
        Number of threads among which trials are divided. None means 1.
    device : str, default="auto"
        Device of the computation, such as "cpu" or "cuda". "auto" selects a GPU if there is one.
    random_state : int, RandomState instance or None, default=None
        Seed of the assignment of stimuli to folds if `cv` is a number or None. None assigns them
        in a fixed order that does not depend on the order of trials.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_freqs, n_lags)
        Receptive fields. Channels of several axes are kept as such axes.
    intercept_ : ndarray of shape (n_outputs,)
        Constants.
    alpha_ : ndarray of shape (n_outputs,)
        Penalties used.
    widths_ : ndarray of shape (n_outputs, 2)
        Widths of the smooth prior used; zeros for other priors.
    cv_scores_ : ndarray of shape (n_widths, n_alphas, n_outputs) or None
        Mean score over folds of all combinations; None without cross-validation.
    x_mean_ : ndarray of shape (n_freqs,)
        Mean of the stimulus, or zeros without intercept.
    input_shape_ : tuple of int
        Shape of a frame.
    n_features_in_ : int
        Length of axis 1 of X.

    See Also
    --------
    skstrf.encoding.simulate_neuron : Responses of a neuron with a given receptive field.
    skstrf.encoding.noise_ceiling : Largest correlation that noise allows.

    Notes
    -----
    Correlations are over all frames of all test trials together. Constant outputs have zero
    coefficients and the score 0, and channels that are constant have zero coefficients with the
    ridge prior. With the Laplacian prior, the coefficients agree with those of
    ``mne.decoding.TimeDelayingRidge(reg_type="laplacian")``, with the ridge prior with those of
    ``reg_type="ridge"``.

    A trial that occurs twice counts twice.

    References
    ----------
    .. [1] F. E. Theunissen et al., "Estimating spatio-temporal receptive fields of auditory and
       visual neurons from their responses to natural stimuli", Network 12(3), 289-316, 2001.
    .. [2] M. Sahani and J. F. Linden, "Evidence optimization techniques for estimating
       stimulus-response functions", Advances in Neural Information Processing Systems 15, 2003.
    .. [3] O. Schoppe et al., "Measuring the performance of neural models", Frontiers in
       Computational Neuroscience 10:10, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from skstrf import STRFRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((6, 8, 200))
    >>> y = 2 * X[:, 3] + np.roll(X[:, 4], 2, axis=-1) + rng.standard_normal((6, 200))
    >>> model = STRFRegressor(n_lags=5, alpha=1.0, prior="ridge").fit(X[:5], y[:5])
    >>> model.coef_.shape
    (1, 8, 5)
    >>> round(model.score(X[5:], y[5:]), 1)
    0.9
    """

    _parameter_constraints: dict = {
        "n_lags": [Interval(Integral, 1, None, closed="left")],
        "lag_min": [Integral],
        "alpha": [StrOptions({"cv"}), Interval(Real, 0, None, closed="left"), "array-like"],
        "prior": [StrOptions({"smooth", "ridge", "laplacian"})],
        "widths": [StrOptions({"cv"}), "array-like", tuple],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "cholesky", "cg"})],
        "cv": ["cv_object"],
        "scoring": [StrOptions({"correlation", "r2", "cc_norm"})],
        "n_jobs": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_lags=30,
        lag_min=0,
        alpha="cv",
        prior="smooth",
        widths="cv",
        fit_intercept=True,
        solver="auto",
        cv=None,
        scoring="correlation",
        n_jobs=None,
        device="auto",
        random_state=None,
    ):
        self.n_lags = n_lags
        self.lag_min = lag_min
        self.alpha = alpha
        self.prior = prior
        self.widths = widths
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Estimate the receptive fields.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_freqs, n_frames), or list of arrays
            Spectrograms; a list of (n_freqs, n_frames) for trials of several lengths. Arrays of
            two axes hold trials of one frame, and further axes before the frames are channels
            too. Trials of dask arrays and memory maps are read one at a time.
        y : array-like of shape (n_trials, n_frames) or (n_trials, n_frames, n_outputs), or list
            Responses at the frames of X. NaN marks missing responses, which are left out.

        Returns
        -------
        STRFRegressor
            This object.

        Raises
        ------
        ValueError
            If X is not finite, X and y have different frames, an output has no response, a lag is
            as long as a trial, or there are fewer different stimuli than folds.
        """
        name = type(self).__name__
        stimuli = read_stimuli(self, X, reset=True)
        responses, self._several = read_responses(stimuli, y, name)
        self._check_lags(stimuli)
        alphas = self._alphas()
        widths = self._widths()
        chosen = self.solver
        searched = alphas is None or len(alphas) > 1 or len(widths) > 1
        folds = None
        if searched:
            folds = check_folds(self.cv, stimuli.fingerprints(), self.random_state, name)
        # The order of the sums does not depend on the order of the trials.
        keys = stimuli.fingerprints(responses)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._move = _mover(resolve_device(self.device))
        self._center(stimuli, responses, order)
        n_outputs = responses[0].shape[1]
        n_channels = len(self.x_mean_)
        coef = np.empty((n_outputs, n_channels, self.n_lags))
        self.alpha_, self.widths_ = np.empty(n_outputs), np.zeros((n_outputs, 2))
        if chosen == "auto":
            largest = max(_n_coefficients(n_channels, self.n_lags, w) for w in widths)
            chosen = "cg" if largest > _LARGEST_GRAM else "cholesky"
        fitted = _fit_sums if chosen == "cholesky" else _fit_gradients
        if alphas is None:
            power = sum(((stimuli[i] - self.x_mean_[:, None]) ** 2).sum() for i in order)
            alphas = _RELATIVE_ALPHAS * max(power / n_channels, np.finfo(float).tiny)
        scores = []
        groups = _equal_gaps(responses)
        for outputs in groups:
            problem = _Problem(self, stimuli, responses, order, outputs, folds, alphas, widths)
            found = fitted(problem)
            coef[outputs], self.alpha_[outputs], self.widths_[outputs] = found[:3]
            scores.append(found[3])
        self.cv_scores_ = None
        if searched:
            shape = (*scores[0].shape[:2], n_outputs)
            self.cv_scores_ = np.empty(shape)
            for outputs, values in zip(groups, scores, strict=True):
                self.cv_scores_[..., outputs] = values
        del self._move
        intercept = self.y_mean_ - coef.sum(2) @ self.x_mean_
        self.coef_ = coef.reshape(n_outputs, *stimuli.shape, self.n_lags).astype(stimuli.dtype)
        self.intercept_ = intercept.astype(stimuli.dtype)
        return self

    def predict(self, X):
        """Predict the responses to stimuli.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_freqs, n_frames), or list of arrays
            Spectrograms as in `fit`; their lengths may differ from those seen in fit.

        Returns
        -------
        ndarray of shape (n_trials, n_frames) or (n_trials, n_frames, n_outputs), or list
            Responses; a list for a list, a tensor on the same device for a tensor, and the axis of
            outputs as in the y seen in fit. float32 for float32 input, otherwise float64.
        """
        check_is_fitted(self)
        stimuli = read_stimuli(self, X, reset=False)
        predicted = self._predict(stimuli)
        return pack(predicted, stimuli, self._several)

    def score(self, X, y):
        """Return the mean of `score_outputs` over the outputs.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_freqs, n_frames), or list of arrays
            Spectrograms.
        y : array-like of shape (n_trials, n_frames) or (n_trials, n_frames, n_outputs), or list
            Responses.

        Returns
        -------
        float
            Mean of the measure named by `scoring`.
        """
        return float(np.mean(self.score_outputs(X, y)))

    def score_outputs(self, X, y):
        """Compare responses with predictions, for each output.

        Parameters
        ----------
        X : array-like of shape (n_trials, n_freqs, n_frames), or list of arrays
            Spectrograms.
        y : array-like of shape (n_trials, n_frames) or (n_trials, n_frames, n_outputs), or list
            Responses. NaN is left out.

        Returns
        -------
        ndarray of shape (n_outputs,)
            Measure named by `scoring`, over all frames of all trials; 0 for constant outputs.

        Raises
        ------
        ValueError
            If `scoring` is "cc_norm" and no stimulus occurs at least twice.
        """
        check_is_fitted(self)
        stimuli = read_stimuli(self, X, reset=False)
        responses, _ = read_responses(stimuli, y, type(self).__name__)
        return score_responses(stimuli, responses, self._predict(stimuli), self.scoring)

    def _predict(self, stimuli: Stimuli) -> list[np.ndarray]:
        coef = self.coef_.reshape(len(self.coef_), -1, self.n_lags).astype(np.float64)
        base = self.intercept_ + coef.sum(2) @ self.x_mean_
        if resolve_device(self.device) != "cpu":
            move = _mover(resolve_device(self.device))
            found = (
                lagged.predict(move(x - self.x_mean_[:, None]), move(coef), self.lag_min)
                for x in stimuli
            )
            return [to_numpy(one) + base for one in found]
        return [
            lagged.predict(x - self.x_mean_[:, None], coef, self.lag_min) + base for x in stimuli
        ]

    def _center(self, stimuli: Stimuli, responses: list, order: list[int]) -> None:
        """Set the means, over the trials in an order that does not depend on that of X."""
        n_channels, n_outputs = int(np.prod(stimuli.shape)), responses[0].shape[1]
        self.x_mean_, self.y_mean_ = np.zeros(n_channels), np.zeros(n_outputs)
        if self.fit_intercept:
            total = sum(stimuli[i].sum(1) for i in order)
            self.x_mean_ = total / sum(stimuli.lengths)
            known = sum((~np.isnan(responses[i])).sum(0) for i in order)
            self.y_mean_ = sum(np.nansum(responses[i], 0) for i in order) / known

    def _check_lags(self, stimuli: Stimuli) -> None:
        longest = max(abs(self.lag_min), abs(self.lag_min + self.n_lags - 1))
        if longest >= min(stimuli.lengths):
            raise ValueError(
                f"The lags {self.lag_min} to {self.lag_min + self.n_lags - 1} reach beyond the "
                f"shortest trial, which has {min(stimuli.lengths)} frames. Reduce n_lags and "
                "lag_min, or use longer trials."
            )

    def _alphas(self) -> np.ndarray | None:
        """Return the penalties to try, None if they depend on the stimulus."""
        if isinstance(self.alpha, str):
            return None
        alphas = np.atleast_1d(np.asarray(self.alpha, dtype=float))
        if alphas.ndim != 1 or not len(alphas) or not (np.isfinite(alphas) & (alphas >= 0)).all():
            raise ValueError(f"alpha must hold finite numbers of at least 0; got {self.alpha!r}.")
        return alphas

    def _widths(self) -> list[tuple[float, float]]:
        """Return the widths to try."""
        if self.prior != "smooth":
            return [(0.0, 0.0)]
        if isinstance(self.widths, str):
            return list(_WIDTHS)
        widths = np.asarray(self.widths, dtype=float)
        if widths.shape != (2,) or not (np.isfinite(widths) & (widths >= 0)).all():
            raise ValueError(
                f"widths must be two finite numbers of at least 0, in channels and frames; got "
                f"{self.widths!r}."
            )
        return [(float(widths[0]), float(widths[1]))]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.three_d_array = True
        return tags


class _Problem:
    """Centered trials of outputs with the same gaps, folds, and settings to choose from."""

    def __init__(self, model, stimuli, responses, order, outputs, folds, alphas, widths):
        self.model, self.stimuli, self.order = model, stimuli, order
        self.responses, self.outputs, self.folds = responses, outputs, folds
        self.alphas, self.widths = alphas, widths
        self.lags = model.lag_min, model.n_lags
        self.move = model._move
        self.measure = "r2" if model.scoring == "r2" else "correlation"
        self.shape = stimuli.shape
        self.penalty = None
        if model.prior == "laplacian":
            self.penalty = self.move(lagged.laplacian(model.n_lags, stimuli.shape))

    def trial(self, index: int) -> tuple[Any, Any]:
        """Return one trial as (channels x frames) and (frames x outputs), both centered."""
        model = self.model
        x = self.stimuli[index] - model.x_mean_[:, None]
        y = self.responses[index][:, self.outputs] - model.y_mean_[self.outputs]
        return self.move(x), self.move(y)

    def priors(self, projection: np.ndarray | None = None) -> list[Prior]:
        """Return the prior of every pair of widths, for channels that may be projected."""
        found = []
        for channel_width, lag_width in self.widths:
            channels = lags = None
            if channel_width:
                channels = self._channel_root(channel_width)
                channels = channels if projection is None else projection.T @ channels
            if lag_width:
                lags = lagged.smooth_root(self.model.n_lags, lag_width)
            found.append(Prior(self.move(channels), self.move(lags), self.penalty))
        return found

    def projection(self) -> np.ndarray | None:
        """Return an orthonormal basis of all smooth profiles of channels."""
        smallest = min(width for width, _ in self.widths)
        return np.linalg.qr(self._channel_root(smallest))[0] if smallest else None

    def _channel_root(self, width: float) -> np.ndarray:
        root = lagged.smooth_root(self.shape[-1], width)
        return np.kron(np.eye(int(np.prod(self.shape[:-1], initial=1))), root)

    def best(self, scores: np.ndarray | None) -> np.ndarray:
        """Return the best (widths, alpha) of every output, as indices."""
        n_outputs = len(self.outputs)
        if scores is None:
            return np.zeros((n_outputs, 2), dtype=int)
        flat = scores.reshape(-1, n_outputs).argmax(0)
        return np.stack(np.unravel_index(flat, scores.shape[:2]), axis=1)

    def solutions(self, scores, solve_group):
        """Solve once for each chosen pair of widths and alpha."""
        best = self.best(scores)
        coef = np.empty((len(self.outputs), int(np.prod(self.shape)), self.model.n_lags))
        for place in np.unique(best, axis=0):
            members = np.flatnonzero((best == place).all(1))
            found = solve_group(int(place[0]), float(self.alphas[place[1]]), members)
            coef[members] = np.moveaxis(to_numpy(found), 2, 0)
        return coef, self.alphas[best[:, 1]], np.asarray(self.widths)[best[:, 0]], scores


def _fit_sums(problem: _Problem) -> tuple:
    """Fit by Gram matrices from sums over trials."""
    projection = problem.projection()
    groups = _group_sums(problem, projection)
    priors = problem.priors(projection)
    scores = None
    if problem.folds is not None:
        scores = np.zeros((len(priors), len(problem.alphas), len(problem.outputs)))
        for fold in range(len(problem.folds)):
            train = lagged.merge_sums([s for key, s in groups.items() if key[0][fold]])
            test = lagged.merge_sums([s for key, s in groups.items() if key[1][fold]])
            for place, prior in enumerate(priors):
                scores[place] += _fold_scores(train, test, prior, problem) / len(problem.folds)
    total = lagged.merge_sums(list(groups.values()))

    def solve_group(place: int, alpha: float, members: np.ndarray) -> Any:
        prior = priors[place]
        right, _ = lagged.cross_products(lagged.with_outputs(total, members), prior)
        solution = lagged.solve(lagged.gram(total, prior), right, alpha, prior.penalty)
        coef = prior.expand(solution, problem.model.n_lags)
        if projection is None:
            return coef
        return np.tensordot(projection, to_numpy(coef), 1)

    return problem.solutions(scores, solve_group)


def _group_sums(problem: _Problem, projection: np.ndarray | None) -> dict[Any, Sums]:
    """Add the sums of the trials that belong to the same parts of all folds."""

    def sums(index: int) -> tuple[int, Sums | None]:
        x, y = problem.trial(index)
        if projection is not None:
            x = problem.move(projection).T @ x
        return index, lagged.lagged_sums(x, y, *problem.lags)

    folds = problem.folds or []
    tasks = (delayed(sums)(index) for index in problem.order)
    found = Parallel(n_jobs=problem.model.n_jobs, prefer="threads", return_as="generator")(tasks)
    groups: dict[Any, Sums] = {}
    for index, part in found:
        if part is None:
            continue
        key = tuple(tuple(index in half for half in halves) for halves in zip(*folds, strict=True))
        groups[key] = part if key not in groups else lagged.merge_sums([groups[key], part])
    for fold in range(len(folds)):
        if not all(any(key[half][fold] for key in groups) for half in (0, 1)):
            raise ValueError(
                "A fold has no responses in its training or test trials: use fewer folds, or "
                "leave out trials and outputs that are mostly NaN."
            )
    return groups


def _fold_scores(train: Sums, test: Sums, prior: Prior, problem: _Problem) -> np.ndarray:
    """Return the scores of all penalties and outputs on the test trials of one fold."""
    matrix = lagged.gram(train, prior)
    right, _ = lagged.cross_products(train, prior)
    solutions = [lagged.solve(matrix, right, alpha, prior.penalty) for alpha in problem.alphas]
    del matrix
    matrix = lagged.gram(test, prior)
    cross, rows = lagged.cross_products(test, prior)
    return np.stack(
        [
            to_numpy(lagged.score_from_sums(v, matrix, cross, rows, test, problem.measure))
            for v in solutions
        ]
    )


def _fit_gradients(problem: _Problem) -> tuple:
    """Fit by conjugate gradients."""
    priors = problem.priors()
    n_lags = problem.model.n_lags
    converged = []

    def solutions(indices: Sequence[int], prior: Prior, alphas: Any, members: Any) -> list:
        """Solve for penalties from the largest to the smallest, each from the one before."""
        trials = ((x, y[:, members]) for x, y in map(problem.trial, indices))
        operator = lagged.FourierOperator(trials, problem.model.lag_min, n_lags)
        right = prior.reduce(operator.cross)
        found: dict[int, Any] = {}
        start = None
        for place in np.argsort(alphas)[::-1]:
            start, done = lagged.conjugate_gradients(
                lambda v: prior.reduce(operator(prior.expand(v, n_lags))),
                right,
                float(alphas[place]),
                prior.penalty,
                start,
            )
            converged.append(done)
            found[int(place)] = prior.expand(start, n_lags)
        return [found[place] for place in range(len(alphas))]

    every = np.arange(len(problem.outputs))
    scores = None
    if problem.folds is not None:
        scores = np.zeros((len(priors), len(problem.alphas), len(every)))
        for train, test in problem.folds:
            train = [i for i in problem.order if i in set(train.tolist())]
            y = np.concatenate([to_numpy(problem.trial(i)[1]) for i in test])
            for place, prior in enumerate(priors):
                found = solutions(train, prior, problem.alphas, every)
                for at, coef in enumerate(found):
                    coef = problem.move(np.moveaxis(to_numpy(coef), 2, 0))
                    predicted = np.concatenate(
                        [
                            to_numpy(lagged.predict(problem.trial(i)[0], coef, problem.lags[0]))
                            for i in test
                        ]
                    )
                    score = _measure(y, predicted, problem.measure)
                    scores[place, at] += score / len(problem.folds)
    result = problem.solutions(
        scores,
        lambda place, alpha, members: solutions(problem.order, priors[place], [alpha], members)[0],
    )
    if not all(converged):
        warnings.warn(
            "Conjugate gradients did not converge. Increase alpha, or use solver='cholesky'.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return result


def _n_coefficients(n_channels: int, n_lags: int, widths: tuple[float, float]) -> int:
    """Return the number of coefficients that remain with a prior."""
    sizes = [
        lagged.smooth_root(n, width).shape[1] if width and n < 2000 else n
        for n, width in zip((n_channels, n_lags), widths, strict=True)
    ]
    return sizes[0] * sizes[1]


def _equal_gaps(responses: list[np.ndarray]) -> list[np.ndarray]:
    """Group the outputs that miss the same frames."""
    groups: dict[bytes, list[int]] = {}
    for output in range(responses[0].shape[1]):
        gaps = np.concatenate([np.isnan(y[:, output]) for y in responses])
        groups.setdefault(np.packbits(gaps).tobytes(), []).append(output)
    return [np.array(group) for group in groups.values()]


def _mover(device: str) -> Any:
    """Return a function that takes arrays to the device of the computation."""
    if device == "cpu":
        return lambda x: x
    import torch

    return lambda x: None if x is None else torch.as_tensor(x, device=device)


def pack(predicted: list[np.ndarray], stimuli: Stimuli, several: bool) -> Any:
    """Return predictions in the form, type and place of the stimuli."""
    arrays = [one.astype(stimuli.dtype) for one in predicted]
    if not several:
        arrays = [one[:, 0] for one in arrays]
    if stimuli.ragged:
        if all(is_torch(x) for x in stimuli.X):
            import torch

            return [
                torch.as_tensor(a, device=x.device) for a, x in zip(arrays, stimuli.X, strict=True)
            ]
        return arrays
    out = np.stack(arrays)
    if stimuli.single:
        out = out[:, 0]
    if is_torch(stimuli.X):
        import torch

        return torch.as_tensor(out, device=stimuli.X.device)
    return out


def _measure(y: np.ndarray, predicted: np.ndarray, measure: str) -> np.ndarray:
    if measure == "correlation":
        return correlation(y, predicted)
    known = ~np.isnan(y)
    error = np.nansum((y - predicted) ** 2, axis=0)
    spread = np.nanvar(y, axis=0) * known.sum(0)
    return np.divide(spread - error, spread, out=np.zeros_like(error), where=spread > 0)


def score_responses(
    stimuli: Stimuli, responses: list[np.ndarray], predicted: list[np.ndarray], measure: str
) -> np.ndarray:
    """Return a measure of the agreement of each output over all trials."""
    if measure != "cc_norm":
        return _measure(np.concatenate(responses), np.concatenate(predicted), measure)
    repeats: dict[str, list[int]] = {}
    for index, key in enumerate(stimuli.fingerprints()):
        repeats.setdefault(key, []).append(index)
    groups = [group for group in repeats.values() if len(group) > 1]
    if not groups:
        raise ValueError(
            "scoring='cc_norm' estimates the noise from repeats: at least one stimulus of X must "
            "occur twice. Use scoring='correlation' for single trials."
        )
    least = min(map(len, groups))
    outputs = range(responses[0].shape[1])
    model = np.concatenate([predicted[group[0]] for group in groups])
    trials = [np.concatenate([responses[group[i]] for group in groups]) for i in range(least)]
    return np.array(
        [normalized_correlation([t[:, o] for t in trials], model[:, o]) for o in outputs]
    )
