-- Notes up to which moment all copies of the slots of this node are known to be level.
-- flags: allow-oom
-- parts: copies
-- KEYS[1] prefix  ARGV: epoch, now_ms, the moment (ms)
-- Returns 1.
if tonumber(ARGV[3]) > (tonumber(CALL('GET', P .. 'level') or '') or 0) then CALL('SET', P .. 'level', ARGV[3]) end
return 1
