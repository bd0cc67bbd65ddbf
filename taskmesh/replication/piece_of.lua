-- Shows a piece of a record, whoever leads its slot, for those to whom it is brought in pieces.
-- flags: no-writes
-- parts: copies
-- KEYS[1] prefix  ARGV: epoch, now_ms, id, where the piece begins (from 0), how many bytes at most
-- Returns {head, how many bytes the record has, the piece}; the head is '' if there is no record.
local key, from = P .. 'r:' .. ARGV[3], tonumber(ARGV[4])
return {CALL('GETRANGE', key, 0, 107), CALL('STRLEN', key), CALL('GETRANGE', key, from, from + tonumber(ARGV[5]) - 1)}
