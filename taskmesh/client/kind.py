"""What the messages of one kind share, prepared once: a bulk send pays for the rest of each only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.client.options import SendOptions
from taskmesh.codec.envelope import Envelope, encode_envelope
from taskmesh.codec.pickling import encode_call
from taskmesh.core import record
from taskmesh.core.state import LETTER, State
from taskmesh.errors import PayloadTooLarge
from taskmesh.queue.enqueue import NewMessage

if TYPE_CHECKING:
    from taskmesh.codec.signing import Signer

PENDING, SCHEDULED = LETTER[State.PENDING], LETTER[State.SCHEDULED]
#: Bytes that an envelope may have beside its arguments.
HEADERS_SIZE_MAX = 65536


class Kind:
    """Builds messages of one kind."""

    __slots__ = (
        "_channel",
        "_compress_over",
        "_function",
        "_function_key",
        "_main",
        "_max_size",
        "_name",
        "_options",
        "_parts",
        "_priority",
        "_queue",
        "_scheduled_parts",
        "_sender",
        "_signer",
        "_timed",
    )

    def __init__(
        self,
        name: str,
        options: SendOptions,
        *,
        function: str,
        main: str,
        channel: bytes,
        sender: str,
        signer: Signer,
        max_size: int,
        compress_over: int,
    ) -> None:
        """Prepare.

        Args:
            name: Name of the task.
            options: How they are sent.
            function: Content hash of a function that is sent by value.
            main: What workers call the main script, if the task stands in there.
            channel: Where outcomes are told.
            sender: Who sends, for people to read.
            signer: Signs messages.
            max_size: Bytes of arguments.
            compress_over: Bytes over which arguments are compressed.
        """
        self._name = name
        self._options = options
        self._function = function
        self._function_key = function.encode()
        self._main = main
        self._channel = channel.decode()
        self._sender = sender
        self._signer = signer
        self._max_size = max_size
        self._compress_over = compress_over
        self._queue = options.queue.encode()
        self._priority = b"%d" % options.priority
        self._timed = options.is_timed
        flags = (record.IGNORE_RESULT if options.ignore_result else 0) | (
            record.AT_MOST_ONCE if options.at_most_once else 0
        )
        self._parts, self._scheduled_parts = (
            record.head_parts(
                state=state,
                queue=self._queue,
                channel=channel,
                function=self._function_key,
                priority=options.priority,
                flags=flags,
                result_ttl_s=options.result_ttl_s,
            )
            for state in (PENDING, SCHEDULED)
        )

    def head(self, slot: bytes, now_ms: int) -> bytes:
        """Return what stands before the envelope in the records of one slot and moment.

        Args:
            slot: 4 hex digits.
            now_ms: When they are sent.
        """
        due_ms = self._options.due_ms(now_ms) if self._timed else 0
        start, middle, end, names = self._scheduled_parts if due_ms else self._parts
        return b"%b%b%b%012x%012x%b%b" % (start, slot, middle, now_ms, due_ms, end, names)

    def message(
        self,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        slot: bytes,
        now_ms: int,
        created_ms: int,
        head: bytes,
    ) -> NewMessage:
        """Make a message.

        Args:
            task_id: Its id.
            args: Positional arguments.
            kwargs: Keyword arguments.
            slot: Where the id lives.
            now_ms: When it is sent.
            created_ms: When its id was made.
            head: As `head` returns it for this slot and moment.

        Raises:
            NotPicklable, PayloadTooLarge: The call cannot be sent.
        """
        encoding, body, clear_size = encode_call(
            args, kwargs, max_size=self._max_size, compress_over=self._compress_over, main=self._main
        )
        options = self._options
        due, expires, expires_ms, extras = b"", b"", 0, options.extras
        if self._timed:
            due_ms, expires_ms = options.due_ms(now_ms), options.expires_ms(now_ms)
            if due_ms:
                # a deadline for retries begins there, and the record's moment says so only until it has passed
                extras = {**(extras or {}), "due": due_ms}
            due, expires = b"%d" % due_ms if due_ms else b"", b"%d" % expires_ms if expires_ms else b""
        envelope = encode_envelope(
            Envelope(
                task_id,
                self._name,
                body,
                encoding,
                self._function,
                options.queue,
                options.headers,
                now_ms,
                expires_ms,
                options.result_ttl_s,
                options.ignore_result,
                self._channel,
                self._sender,
                extras,
                clear_size,
            ),
            self._signer,
        )
        if len(envelope) > self._max_size + HEADERS_SIZE_MAX:
            raise PayloadTooLarge(
                f"the message of task {self._name} has {len(envelope)} bytes with its headers; max_message_size is "
                f"{self._max_size}",
                size=len(envelope),
                limit=self._max_size,
            )
        return NewMessage(
            task_id.encode(),
            head + envelope,
            slot,
            self._queue,
            created_ms,
            self._priority,
            due,
            self._function_key,
            expires,
        )
