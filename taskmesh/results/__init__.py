"""Reading outcomes: the record, notices, what to do when there is none.

Pure: generators and the Lua that they call. Imports `core`, `codec` and `errors`.
"""
