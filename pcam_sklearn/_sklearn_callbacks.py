"""scikit-learn's own callbacks, and a stand-in for versions before 1.9, which have none."""

from typing import Any, NoReturn, Self

import sklearn

__all__ = ["CallbackSupportMixin", "with_callbacks"]


class _UnseenTask:
    """A task that tells nobody, and so do all tasks within it."""

    def subcontext(self, **_: Any) -> Self:
        """Return a task within this one."""
        return self

    def call_on_fit_task_begin(self, **_: Any) -> Self:
        """Tell nobody."""
        return self

    def call_on_fit_task_end(self, **_: Any) -> bool:
        """Tell nobody, and ask for no end."""
        return False


class _NoSupport:
    """A stand-in for `sklearn.callback.CallbackSupportMixin`."""

    @property
    def set_callbacks(self) -> NoReturn:
        """Raise AttributeError: the estimator has no such method, and says why."""
        raise AttributeError(
            f"set_callbacks needs scikit-learn 1.9 or later, and {sklearn.__version__} is "
            "installed; type: pip install 'scikit-learn>=1.9'. Keras' callbacks, the parameter "
            "`callbacks`, need nothing else."
        )

    def _init_callback_context(self, **_: Any) -> _UnseenTask:
        return _UnseenTask()


def _unchanged(method: Any) -> Any:
    return method


try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:
    CallbackSupportMixin, with_callbacks = _NoSupport, _unchanged
