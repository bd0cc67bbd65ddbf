-- Notes what a running message tells of itself, only with the token of its claim. It goes when the message ends.
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, id, token (50), signed telling
-- Returns 1 when it is noted, 0 when the message is not held under this token any more.
-- No allow-oom: when the node's memory is full, there are more important things to keep.
if CALL('GETRANGE', P .. 'r:' .. ARGV[3], 1, 51) ~= 'T' .. ARGV[4] then return 0 end
CALL('HSET', P .. 'tellings', ARGV[3], ARGV[5])
return 1
