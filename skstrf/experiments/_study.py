"""Optuna studies that several processes share and that survive killed processes."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skstrf.caching.results import to_jsonable
from skstrf.utils.optional import import_optional

if TYPE_CHECKING:
    import optuna

__all__ = [
    "SharedStudy",
    "check_search_space",
    "describe_choice",
    "open_storage",
    "quiet",
    "suggest",
]

logger = logging.getLogger("skstrf")


FINISHED = ("COMPLETE", "PRUNED")
# First bytes of every journal of Optuna.
_FIRST_BYTES = b'{"op_code"'
# Number of failed trials after which a study without any score is stopped.
N_FAILURES = 3


def open_storage(storage: Any) -> tuple[Any, Path | None]:
    """Open the storage of a study; also return the path of its file, if it is one."""
    from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage

    if storage is None:
        return InMemoryStorage(), None
    if not isinstance(storage, str | os.PathLike):
        return storage, None
    text = os.fspath(storage)
    if "://" in text:
        kind, _, rest = text.partition(":///")
        is_file = kind.startswith("sqlite") and rest not in ("", ":memory:")
        # The lock of a file shows at once that a process was killed.
        beat: dict[str, Any] = {} if is_file else {"heartbeat_interval": 60, "grace_period": 180}
        return RDBStorage(text, **beat), Path(rest) if is_file else None
    path = Path(text)
    if path.is_dir():
        raise ValueError(f"storage={text!r} is a folder. Name a file, such as {path / 'journal'}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A killed process releases this lock, unlike the one of Optuna.
        lock = _file_lock(path.with_name(f"{path.name}.lock"))
        _mend(path, lock)
        return JournalStorage(_journal(text, lock)), path
    except OSError as error:
        raise ValueError(f"storage={text!r} cannot be written: {error.strerror}.") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(
            f"storage={text!r} is no journal of Optuna ({error}). Name a new file."
        ) from error


def _file_lock(path: Path, **options: Any) -> Any:
    """Return a lock that the system releases when its process dies."""
    return import_optional("filelock", extra="search").FileLock(path, **options)


def _journal(path: str, lock: Any) -> Any:
    """Return a journal of Optuna in which a full disk leaves no incomplete line."""
    from optuna.storages.journal import JournalFileBackend

    class Journal(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            with lock:
                size = os.path.getsize(path)
                try:
                    super().append_logs(logs)
                except OSError as error:
                    os.truncate(path, size)
                    text = (
                        f"{error.strerror}. All candidates that were scored before are kept; make "
                        "room and run the same again to go on from there"
                    )
                    raise OSError(error.errno, text, path) from error

    return Journal(path, lock_obj=lock)


def _mend(path: Path, lock: Any) -> None:
    """Remove an incomplete last line of a journal, which a crash can leave."""
    with lock:
        if not path.exists():
            return
        content = path.read_bytes()
        if content and not content.startswith(_FIRST_BYTES[: len(content)]):
            raise ValueError("it begins with something else")
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            logger.warning("%s: the last line is incomplete and is removed", path)
            os.truncate(path, whole)


def check_search_space(space: Mapping[str, Any], pipeline: Any) -> dict[str, Any]:
    """Check a search space, and return a distribution of Optuna for each parameter."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution

    if not space:
        raise ValueError("search_space is empty: there is nothing to search.")
    known = pipeline.get_params()
    found = {}
    for name, values in space.items():
        if name not in known:
            raise ValueError(
                f"search_space has {name!r}, which the pipeline does not have. Its stages are "
                f"{', '.join(step for step, _ in pipeline.steps)}."
            )
        if isinstance(values, BaseDistribution):
            found[name] = values
            continue
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
            raise ValueError(f"search_space[{name!r}] must be a list of values, got {values!r}.")
        texts = [describe_choice(value) for value in values]
        if not texts or len(set(map(repr, texts))) < len(texts):
            raise ValueError(f"search_space[{name!r}] must have different values: {values!r}.")
        found[name] = CategoricalDistribution(texts)
    return found


def describe_choice(value: Any) -> Any:
    """Return a value as a study can store it: numbers and texts, or else the text of an object."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return " ".join(repr(value).split())


def suggest(trial: optuna.Trial, name: str, distribution: Any) -> Any:
    """Draw a value of a parameter."""
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(distribution, FloatDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_float(name, low, high, step=distribution.step, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        low, high = distribution.low, distribution.high
        return trial.suggest_int(name, low, high, step=distribution.step, log=distribution.log)
    return trial.suggest_categorical(name, distribution.choices)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the messages of Optuna for each trial."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class SharedStudy:
    """Optuna study that several processes can share, and that continues after an interruption.

    The sampler of each trial is seeded by its position in the study, so that its parameters depend
    on earlier trials only, and an interrupted study gives the same results as a complete one.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        settings: Mapping[str, str],
        *,
        names: set[str],
        sampler: str,
        pruner: Any,
        random_state: int,
    ):
        import optuna

        self.names = names
        self.sampler, self.random_state = sampler, random_state
        opened, path = open_storage(storage)
        self.path = path
        with quiet(), self.turn():
            self.study: optuna.Study = optuna.create_study(
                storage=opened,
                study_name=name,
                load_if_exists=True,
                direction="maximize",
                pruner=pruner,
            )
            self._check_settings(dict(settings))

    def run(
        self,
        objective: Callable[[optuna.Trial], float],
        n_trials: int,
        *,
        is_over: Callable[[], bool],
        done: Callable[[int], None],
    ) -> None:
        """Run trials until the study has enough, including those of other processes."""
        with ExitStack() as stack, quiet():
            worker = stack.enter_context(self._at_work())
            while not is_over():
                turn = self.turn()
                with ExitStack() as held:
                    held.enter_context(turn)
                    self._take_up()
                    place = self._count("RUNNING", *FINISHED)
                    done(self._count(*FINISHED))
                    if place >= n_trials:
                        return
                    self._give_up_if_hopeless()
                    self.study.sampler = self._make_sampler(place)
                    one = partial(self._run_one, objective, worker, held, place)
                    try:
                        self.study.optimize(one, n_trials=1, catch=(ValueError,))
                    except AssertionError as error:
                        # Optuna asserts that a trial has ended, even if that cannot be written.
                        raise (error.__context__ or error) from None
                done(self._count(*FINISHED))

    def turn(self) -> AbstractContextManager[Any]:
        """Return the lock that is held from counting the trials to drawing the next one."""
        return nullcontext() if self.path is None else _file_lock(self._beside("turn"))

    def _beside(self, name: str) -> Path:
        assert self.path is not None
        folder = self.path.with_name(f"{self.path.name}.workers")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @contextmanager
    def _at_work(self) -> Iterator[str]:
        """Hold a lock while this process works, which is released even if it is killed."""
        name = secrets.token_hex(8)
        if self.path is None:
            yield name
            return
        path = self._beside(name)
        try:
            with _file_lock(path):
                yield name
        finally:
            path.unlink(missing_ok=True)

    def _run_one(
        self, objective: Any, worker: str, held: ExitStack, place: int, trial: optuna.Trial
    ) -> float:
        trial.set_user_attr("worker", worker)
        trial.set_user_attr("place", place)
        held.close()  # the trial is drawn, so other processes may continue
        try:
            return objective(trial)
        except ValueError as error:
            trial.set_user_attr("error", str(error))
            logger.warning("trial %d has no score: %s", trial.number, error)
            raise

    def _take_up(self) -> None:
        """Mark the trials of killed processes as failed, and queue each of them once more."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_left_behind(trial.user_attrs.get("worker")):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        trials = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            is_left = trial.state == TrialState.FAIL and not _has_error(trial)
            # A trial without all parameters had not begun; its position is drawn again.
            if is_left and trial.number not in again and set(trial.params) == self.names:
                logger.warning("trial %d was interrupted and is run again", trial.number)
                self.study.enqueue_trial(trial.params, user_attrs={"retry_of": trial.number})

    def _is_left_behind(self, worker: str | None) -> bool:
        if self.path is None:
            return False  # Optuna itself checks the heartbeat of other storages
        if worker is None:  # killed right after drawing
            return True
        path = self._beside(worker)
        try:
            with _file_lock(path, timeout=0):
                pass
        except TimeoutError:
            return False
        path.unlink(missing_ok=True)
        return True

    def _count(self, *states: str) -> int:
        """Count the trials with a state; failed ones count always, as they would fail again."""
        return sum(
            trial.state.name in states or (trial.state.name == "FAIL" and _has_error(trial))
            for trial in self.study.get_trials(deepcopy=False)
        )

    def _give_up_if_hopeless(self) -> None:
        trials = self.study.get_trials(deepcopy=False)
        errors = [trial.user_attrs["error"] for trial in trials if _has_error(trial)]
        if len(errors) >= N_FAILURES and not any(t.state.name == "COMPLETE" for t in trials):
            raise ValueError(f"{len(errors)} trials and none has a score. The last: {errors[-1]}")

    def _make_sampler(self, place: int) -> Any:
        from optuna.samplers import RandomSampler, TPESampler

        kind = {"tpe": TPESampler, "random": RandomSampler}[self.sampler]
        words = np.random.SeedSequence([self.random_state, place]).generate_state(1)
        return kind(seed=int(words[0]))

    def _check_settings(self, settings: dict[str, str]) -> None:
        """Raise an error if the study in the storage has other settings."""
        settings = to_jsonable(settings)
        known = self.study.user_attrs.get("settings")
        if known is None:
            if self.study.get_trials(deepcopy=False):
                raise ValueError(
                    f"the storage has a study {self.study.study_name!r} of another program. "
                    "Choose another study_name."
                )
            self.study.set_user_attr("settings", settings)
            return
        keys = sorted(settings.keys() | known.keys())
        if other := [key for key in keys if settings.get(key) != known.get(key)]:
            raise ValueError(
                f"the storage has a study {self.study.study_name!r} with other settings: "
                f"{', '.join(other)}. Use the same to go on with it, or another study_name or "
                "storage for a new one."
            )


def _has_error(trial: Any) -> bool:
    return "error" in trial.user_attrs
