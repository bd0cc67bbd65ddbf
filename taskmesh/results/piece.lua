-- Reads a piece of a record whose outcome is too large to be read at once: several nodes only.
-- flags: no-writes
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, id, where the piece begins (from 0), how many bytes at most
-- Returns {head, piece}; the head is '' if there is no record.
local key, from = P .. 'r:' .. ARGV[3], tonumber(ARGV[4])
return {CALL('GETRANGE', key, 0, 107), CALL('GETRANGE', key, from, from + tonumber(ARGV[5]) - 1)}
