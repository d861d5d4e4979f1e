"""CachedPipeline: scikit-learn's Pipeline, with no stage computed twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skstrf.pipeline.stages import Stages, open_entries

__all__ = ["CachedPipeline"]


def _last_has(*names: str) -> Callable[[Any], bool]:
    def check(pipeline: Any) -> bool:
        last = pipeline.steps[-1][1]
        return last in (None, "passthrough") or any(hasattr(last, name) for name in names)

    return check


class CachedPipeline(Pipeline):
    """Pipeline that finds in its cache what was computed before, in training and in prediction.

    A drop-in for :class:`sklearn.pipeline.Pipeline` in searches and cross-validation. The last
    step is never cached; of those before it

    * the leading ones that learn nothing (`AudioLoader` and the transformers of sounds) make one
      entry a recording, by the content of its file or samples, so that neither another fold nor
      another candidate reads or transforms it again;
    * every other one (scaling, MPCA, a selection of channels) is fitted once for each set of its
      parameters, samples and labels, and transforms any set of samples once, the test part of a
      fold too. ``Pipeline(memory=...)`` keeps the training part alone, and hashes the tensors
      anew for every candidate; here samples are told apart once, before the first stage.

    Any number of processes may share the cache: they wait for what another is at work on, so with
    ``n_jobs=2`` too nothing is computed twice.

    Parameters
    ----------
    steps : list of (str, estimator)
        As of scikit-learn's Pipeline.
    transform_input : list of str or None, default=None
        As there; with it nothing is cached.
    memory : str, PathLike, joblib.Memory or None, default=None
        Folder of the cache; None caches nothing.
    verbose : bool, default=False
        Say how long steps took, where nothing is cached.

    Attributes
    ----------
    named_steps : Bunch
        The steps by name, fitted after `fit`.
    stage_keys_ : list of str
        What the fitted stages are filed under; empty where nothing is cached.

    See Also
    --------
    skstrf.experiments.run_search : Studies with pruning that use it.

    Notes
    -----
    Stages are told apart by class, the version of their package and parameters but for `n_jobs`,
    `verbose` and `memory`; one with ``random_state=None`` is the same each time once it is in the
    cache. The code of your own classes is not looked at: clear the cache when you change it.
    Parameters that go to ``fit`` of a stage before the last (such as ``mpca__...``) switch the
    cache off for that fit. Files with errors are never cached; dask arrays and torch tensors
    pass by the cache.

    Entries are checked as those of the transformers' `memory` are, and managed the same way:
    ``joblib.Memory(folder).reduce_size(...)`` and ``.clear()``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skstrf import MPCA, CachedPipeline
    >>> X = np.random.default_rng(0).standard_normal((30, 4, 5, 6))
    >>> y = np.arange(30) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     steps = [("mpca", MPCA(vectorize=True)), ("last", LogisticRegression())]
    ...     pipeline = CachedPipeline(steps, memory=folder)
    ...     grid = {"mpca__n_components": [2, 3], "last__C": [0.1, 1.0, 10.0]}
    ...     search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)  # MPCA is fitted 2 x 3 + 1 times
    >>> len(search.cv_results_["params"])
    6
    """

    steps: list[tuple[str, Any]]

    def __init__(self, steps, *, transform_input=None, memory=None, verbose=False):
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)

    def fit(self, X, y=None, **params):
        """Fit the stages, or find them fitted, and fit the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        CachedPipeline
            This object.
        """
        features = self._fit_stages(X, y, "fit", params, n_stages=len(self.steps) - 1)
        if features is None:
            with _WithoutCache(self):
                return super().fit(X, y, **params)
        Pipeline(self.steps[-1:]).fit(features, y, **params)
        return self

    @available_if(_last_has("transform", "fit_transform"))
    def fit_transform(self, X, y=None, **params):
        """Fit all steps, or find them fitted, and transform what they learned from.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            What comes out of the last step.
        """
        features = self._fit_stages(X, y, "fit_transform", params, n_stages=len(self.steps))
        if features is None:
            with _WithoutCache(self):
                return super().fit_transform(X, y, **params)
        return features

    @available_if(_last_has("transform"))
    def transform(self, X, **params):
        """Transform by all steps.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            What comes out of the last step.
        """
        return self._finish("transform", X, (), params)

    @available_if(_last_has("predict"))
    def predict(self, X, **params):
        """Predict by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            Predictions.
        """
        return self._finish("predict", X, (), params)

    @available_if(_last_has("predict_proba"))
    def predict_proba(self, X, **params):
        """Give the probability of every class by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        return self._finish("predict_proba", X, (), params)

    @available_if(_last_has("predict_log_proba"))
    def predict_log_proba(self, X, **params):
        """Give the logarithm of the probability of every class by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms.
        """
        return self._finish("predict_log_proba", X, (), params)

    @available_if(_last_has("decision_function"))
    def decision_function(self, X, **params):
        """Give the decisions of the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        ndarray
            Decisions.
        """
        return self._finish("decision_function", X, (), params)

    @available_if(_last_has("score"))
    def score(self, X, y=None, sample_weight=None, **params):
        """Score by the last step.

        Parameters
        ----------
        X : list of paths or ndarray
            Samples.
        y : array-like or None
            Labels.
        sample_weight : array-like or None
            Weights.
        **params : dict
            As of scikit-learn's Pipeline.

        Returns
        -------
        float
            The score.
        """
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self._finish("score", X, (y,), weights | params)

    def _fit_stages(
        self, X: Any, y: Any, method: str, params: Mapping[str, Any], *, n_stages: int
    ) -> np.ndarray | None:
        """Fit the first so many steps in the cache and give what comes out; None without one."""
        self.stage_keys_: list[str] = []
        if self.memory is None or self.transform_input is not None or not n_stages:
            return None
        self._validate_steps()
        if self._has_params_for_stages(method, params, n_stages):
            return None
        entries = open_entries(self.memory)
        found = entries and Stages(self.steps[:n_stages], entries).fit(X, y)
        if not found:
            return None
        features, fitted, self.stage_keys_ = found
        self.steps = [(name, fitted.get(name, step)) for name, step in self.steps]
        return features

    def _has_params_for_stages(
        self, method: str, params: Mapping[str, Any], n_stages: int
    ) -> bool:
        if not params:
            return False
        stages = [name for name, _ in self.steps[:n_stages]]
        if not get_config()["enable_metadata_routing"]:
            return any(key.partition("__")[0] in stages for key in params)
        routed = process_routing(self, method, **params)
        return any(any(routed[name].values()) for name in stages if name in routed)

    def _finish(self, method: str, X: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Call a method of the last step on what the stages make of samples."""
        check_is_fitted(self)
        keys = getattr(self, "stage_keys_", [])
        entries = open_entries(self.memory) if keys else None
        n_stages = len(self.steps) - (method != "transform")
        if entries is None or self._has_params_for_stages(method, params, n_stages):
            return getattr(super(), method)(X, *args, **params)
        stages = Stages(self.steps[:n_stages], entries)
        if len(keys) != 1 + len(stages.steps) - stages.n_head:  # fitted with another last step
            return getattr(super(), method)(X, *args, **params)
        features = stages.transform(X, keys)
        if features is None:
            return getattr(super(), method)(X, *args, **params)
        if method == "transform":
            return features
        return getattr(Pipeline(self.steps[-1:]), method)(features, *args, **params)


class _WithoutCache:
    """Keeps scikit-learn from caching by itself, as it would from a Pipeline's memory."""

    def __init__(self, pipeline: CachedPipeline):
        self.pipeline = pipeline
        self.memory = pipeline.memory

    def __enter__(self) -> None:
        self.pipeline.memory = None

    def __exit__(self, *_: Any) -> None:
        self.pipeline.memory = self.memory
