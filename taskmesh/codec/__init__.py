"""Bytes in and out: keys, signatures, envelopes, outcomes, pickles. Pure: no I/O, no clock.

Imports `taskmesh.errors` only. Nothing here decodes a byte whose signature has not been verified:
`decode_envelope`, `decode_outcome`, `decode_control` and `open_function` verify first, and what they
return is all that `pickling` and `functions` may be given.

Read first: `signing.py` (the wire format), then `envelope.py` and `pickling.py`.
"""
