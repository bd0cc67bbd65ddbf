-- Wakes a child with the message that it was given while idle (see `parts/handoff.lua`), now that W copies know of that.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder, sequence, id, version before it was given
-- Returns 1 handed over, 0 the child has it already, by a claim, or is not to have it any more.
local holder, seq, id = ARGV[3], ARGV[4], ARGV[5]
local worker, mark = P .. 'w:' .. string.sub(holder, 1, 16), 'h' .. string.sub(holder, 17)
local known = CALL('HMGET', worker, 'state', mark)
if known[1] ~= 'live' or known[2] ~= seq then return 0 end
CALL('HDEL', worker, mark)
local rec, lease = CALL('GET', P .. 'r:' .. id), EPOCH .. holder .. seq
if not rec or string.sub(rec, 2, 2) ~= 'T' or string.sub(rec, 11, 52) ~= lease then return 0 end
CALL('RPUSH', P .. 'wake:' .. holder, 'h' .. lease .. id .. ':' .. ARGV[6] .. '\n' .. rec)
return 1
