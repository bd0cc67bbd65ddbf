-- Puts a signed control message on the list of one worker, if that lives.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, incarnation, the message, how many a worker may leave unread
-- Returns 1 when it stands there, 0 when there is no such worker. A repeat puts it there again, which is harmless.
local incarnation, list = ARGV[3], P .. 'control:' .. ARGV[3]
-- a list of one that is gone would stay for ever
if CALL('HGET', P .. 'w:' .. incarnation, 'state') ~= 'live' then return 0 end
CALL('RPUSH', list, ARGV[4])
CALL('LTRIM', list, -tonumber(ARGV[5]), -1)
return 1
