"""Arguments, values and exceptions as bytes, and back.

Plain pickle (protocol 5) comes first: it is written in C and five to fifty times faster than cloudpickle.
cloudpickle takes over in two cases: where plain pickle fails (lambdas, closures), and for what lives in
`__main__`. The latter pickles well by reference, but no other process can load it: `__main__` of a worker
is another module. So the pickled bytes are searched for that name; a text that merely contains it is
pickled a second time for nothing, which does no harm.

The functions that decode run whatever the bytes say. They may only be given bytes whose signature has been
verified: the fields of what `decode_envelope` and `decode_outcome` return.
"""

from __future__ import annotations

import importlib
import io
import pickle
import reprlib
import sys
import traceback
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final

from taskmesh.codec.compression import expand, shrink
from taskmesh.codec.outcome import ErrorInfo
from taskmesh.core.naming import MAIN
from taskmesh.errors import Malformed, NewerFormat, NotPicklable, PayloadTooLarge, RemoteError

PICKLE: Final = 0
CLOUDPICKLE: Final = 1
COMPRESSED: Final = 16
"""Added to the encoding of a body that was compressed."""

MESSAGE_SIZE_MAX: Final = 16 * 1024 * 1024
RESULT_SIZE_MAX: Final = 16 * 1024 * 1024
ERROR_SIZE_MAX: Final = 256 * 1024
COMPRESS_OVER: Final = 16 * 1024

_PROTOCOL: Final = 5
_TEXT_CHARS_MAX: Final = 64 * 1024
_MAIN: Final = b"_main__"  # The end of `__main__` and of `__mp_main__`.
_SPAWNED_MAIN: Final = "__mp_main__"

_dumps = pickle.dumps
_loads = pickle.loads

_short: Final = reprlib.Repr()
_short.maxstring = _short.maxother = 100


def encode_call(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    max_size: int = MESSAGE_SIZE_MAX,
    compress_over: int = COMPRESS_OVER,
    main: str = "",
) -> tuple[int, bytes, int]:
    """Return `(encoding, body, clear_size)` of the arguments of a call.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
        max_size: Most bytes, before compression: what is refused does not depend on how well it shrinks.
        compress_over: Bodies of more bytes are compressed, where that helps.
        main: Name under which the receiver has the main script as a module, for it holds the task: what the
            script defines then goes by reference, so that both sides mean the same class. Empty if it has not.

    Raises:
        NotPicklable: An argument cannot be sent; it is named.
        PayloadTooLarge: The arguments have more than `max_size` bytes.
    """
    # This and `encode_value` repeat the lines of `dump`: one more call would cost a tenth of the whole.
    encoding = PICKLE
    try:
        body = _dumps((args, kwargs), _PROTOCOL)
    except KeyboardInterrupt:
        raise  # a real one, for all that anybody can tell
    except BaseException:  # noqa: BLE001 - pickling runs code of the objects, which may raise anything
        body = _MAIN  # Of as little use as what names it.
    if _MAIN in body:
        encoding = CLOUDPICKLE
        try:
            body = _dumps_by_value((args, kwargs), main)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise NotPicklable(_blame_argument(args, kwargs, error)) from error
    size = len(body)
    if size > compress_over or size > max_size:
        return *_fit(encoding, body, max_size, "the arguments have", "max_message_size"), size
    return encoding, body, size


def decode_call(
    encoding: int,
    body: bytes,
    clear_size: int = 0,
    max_size: int = MESSAGE_SIZE_MAX,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `(args, kwargs)` of a verified envelope.

    Args:
        encoding: As made by `encode_call`.
        body: As made by `encode_call`.
        clear_size: As made by `encode_call`; 0 if not known.
        max_size: Most bytes after expansion.

    Raises:
        Malformed: It cannot be expanded or unpickled; the cause is attached.
        NewerFormat: This TaskMesh does not know the encoding.
    """
    if encoding > CLOUDPICKLE:
        body = _expanded(encoding, body, max_size)
        if clear_size and clear_size != len(body):
            raise Malformed(f"the envelope says that its body has {clear_size} bytes, and it has {len(body)}")
    try:
        args, kwargs = _loads(body)
    except BaseException as error:
        # even a KeyboardInterrupt: a worker's children ignore Ctrl-C, so it is of the arguments' making
        raise Malformed(_unreadable("the arguments", encoding, error)) from error
    if type(args) is not tuple or type(kwargs) is not dict:
        raise Malformed(f"the body holds {type(args).__name__} and {type(kwargs).__name__}, not arguments")
    return args, kwargs


def encode_value(
    value: object,
    *,
    max_size: int = RESULT_SIZE_MAX,
    compress_over: int = COMPRESS_OVER,
) -> tuple[int, bytes]:
    """Return `(encoding, body)` of a value that a task returned.

    Raises:
        NotPicklable: The value cannot be sent; its type and a short `repr` are named.
        PayloadTooLarge: It has more than `max_size` bytes before compression.
    """
    encoding = PICKLE
    try:
        body = _dumps(value, _PROTOCOL)
    except BaseException:  # noqa: BLE001 - as in encode_call, and workers ignore Ctrl-C
        body = _MAIN
    if _MAIN in body:
        encoding = CLOUDPICKLE
        try:
            body = _dumps_by_value(value)
        except BaseException as error:
            raise NotPicklable(_blame("the return value", value, error)) from error
    size = len(body)
    if size > compress_over or size > max_size:
        return _fit(encoding, body, max_size, "the return value has", "max_result_size")
    return encoding, body


def decode_value(encoding: int, body: bytes, *, max_size: int = RESULT_SIZE_MAX) -> Any:
    """Return the value of a verified outcome.

    Raises:
        Malformed: It cannot be expanded or unpickled; the cause is attached.
        NewerFormat: This TaskMesh does not know the encoding.
    """
    if encoding > CLOUDPICKLE:
        body = _expanded(encoding, body, max_size)
    try:
        return _loads(body)
    except KeyboardInterrupt:
        raise  # Ctrl-C of the caller
    except BaseException as error:
        raise Malformed(_unreadable("the return value", encoding, error)) from error


def dump(value: object) -> tuple[int, bytes]:
    """Return `(encoding, body)` of `value`, whatever its size; raise what pickling raises."""
    try:
        body = _dumps(value, _PROTOCOL)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - as in encode_call; cloudpickle raises it again if it fails too
        return CLOUDPICKLE, _dumps_by_value(value)
    if _MAIN in body:
        return CLOUDPICKLE, _dumps_by_value(value)
    return PICKLE, body


def encode_error(error: BaseException, *, max_size: int = ERROR_SIZE_MAX) -> ErrorInfo:
    """Return what there is to know about `error`; never raises for what the exception does.

    Args:
        error: What the task raised; its traceback is read here.
        max_size: A pickled exception of more bytes is left out, and arrives as `RemoteError`.
    """
    kind = type(error)
    try:
        _, pickled = dump(error)
    except BaseException:  # noqa: BLE001 - it travels as text then
        pickled = None
    if pickled is not None and len(pickled) > max_size:
        pickled = None
    return ErrorInfo(
        _sendable(str(kind.__module__)),
        _sendable(kind.__qualname__),
        _sendable(_text_of(error)),
        _sendable(_guarded(lambda: "".join(traceback.format_exception(error)))),
        pickled,
    )


def decode_error(info: ErrorInfo, *, worker: str = "unknown", task_id: str = "") -> Exception:
    """Return the exception of a verified outcome, ready to be raised.

    It is the original one, with the remote traceback as a note; or a `RemoteError` where that one cannot be
    rebuilt here, or is no `Exception`: a `SystemExit` of a worker must not end its caller.

    Args:
        info: As made by `encode_error`.
        worker: Name of the worker, for the note.
        task_id: Id of the message, for the `RemoteError`.
    """
    note = f"Remote traceback (worker {worker}):\n{info.traceback}"
    if info.pickled is None:
        why = "the worker could not pickle the exception, or it was too large"
    else:
        try:
            error = _loads(info.pickled)
            if isinstance(error, Exception):
                error.add_note(note)
                return error
            why = f"a {type(error).__name__} is not raised on behalf of another process"
        except KeyboardInterrupt:
            raise  # Ctrl-C of the caller
        except BaseException as cause:  # noqa: BLE001 - its class may do anything here
            why = f"the exception cannot be unpickled here: {type(cause).__name__}: {_text_of(cause)}"
    remote = RemoteError(
        f"{info.type_name}: {info.text}",
        task_id=task_id,
        type_name=info.type_name,
        text=info.text,
        remote_traceback=info.traceback,
    )
    remote.add_note(note)
    remote.add_note(f"It is a RemoteError because {_sendable(why)}")
    return remote


def _dumps_by_value(value: object, main: str = "") -> bytes:
    import cloudpickle  # 15 ms, and most processes never need it

    if _SPAWNED_MAIN in sys.modules:
        # The main script under its other name, in a process that multiprocessing spawned: only by value too.
        cloudpickle.register_pickle_by_value(sys.modules[_SPAWNED_MAIN])
    if not main:
        body: bytes = cloudpickle.dumps(value, protocol=_PROTOCOL)
        return body

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # no types
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, (type, FunctionType)) and _is_of_main(obj):
                return _of_module, (main, obj.__qualname__)
            return super().reducer_override(obj)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=_PROTOCOL).dump(value)
    return buffer.getvalue()


def _is_of_main(named: Any) -> bool:
    """Tell whether a class or function is found by its name in the main script."""
    if named.__module__ not in MAIN:
        return False
    try:
        found: Any = sys.modules[named.__module__]
        for part in named.__qualname__.split("."):
            found = getattr(found, part)
    except (KeyError, AttributeError):
        return False
    return found is named


def _of_module(module: str, qualname: str) -> Any:
    """Return what unpickling asks for by name."""
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _fit(encoding: int, body: bytes, max_size: int, what: str, setting: str) -> tuple[int, bytes]:
    size = len(body)
    if size > max_size:
        raise PayloadTooLarge(
            f"{what} {size} bytes when pickled, and {setting} is {max_size}; "
            f"pass a reference (a path, a key) instead, or raise {setting}",
            size=size,
            limit=max_size,
        )
    shrunk = shrink(body)
    return (encoding, body) if shrunk is None else (encoding + COMPRESSED, shrunk)


def _expanded(encoding: int, body: bytes, max_size: int) -> bytes:
    if encoding - COMPRESSED not in (PICKLE, CLOUDPICKLE):
        raise NewerFormat(f"this TaskMesh does not know the encoding {encoding}; upgrade this process")
    return expand(body, max_size=max_size)


def _unreadable(what: str, encoding: int, error: BaseException) -> str:
    hint = (
        "; they were pickled by value: both sides need the same minor version of Python, and cloudpickle"
        if encoding & CLOUDPICKLE
        else "; this process must be able to import the same modules as the one that sent them"
    )
    return f"{what} cannot be unpickled here ({type(error).__name__}: {_cut(_text_of(error), 500)}){hint}"


def _blame_argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], error: BaseException) -> str:
    """Say which argument cannot be pickled: the error alone often names a part deep inside."""
    named = [(f"argument {place}", value) for place, value in enumerate(args, start=1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for what, value in named:
        try:
            dump(value)
        except KeyboardInterrupt:
            raise
        except BaseException as cause:  # noqa: BLE001 - as in encode_call
            return _blame(what, value, cause)
    return f"the arguments cannot be pickled together: {_text_of(error)}"


def _blame(what: str, value: object, error: BaseException) -> str:
    kind = type(value)
    shown = _guarded(lambda: _short.repr(value))
    return (
        f"{what} cannot be pickled: it is a {kind.__module__}.{kind.__qualname__}, {_cut(shown, 200)} "
        f"({type(error).__name__}: {_cut(_text_of(error), 500)}); send plain data, and open files, locks and "
        "connections inside the task"
    )


def _guarded(make: Callable[[], str]) -> str:
    try:
        return make()
    except BaseException as error:  # noqa: BLE001 - __str__ and __repr__ of user classes may raise anything
        return f"<cannot be shown: {type(error).__name__}>"


def _text_of(error: BaseException) -> str:
    return _guarded(lambda: str(error))


def _sendable(text: str) -> str:
    """Return `text` bounded, and without lone surrogates, which no encoder of UTF-8 takes."""
    return _cut(text, _TEXT_CHARS_MAX).encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    """Return `text` with its middle left out where it is too long: both ends of a traceback matter."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
